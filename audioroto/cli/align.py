"""audioroto align"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import Device, ModelFile
from audioroto.model.pretrained import DEFAULT_MODEL


def align(
    audio: Annotated[Path, typer.Argument(help="Audio file.", show_default=False)],
    text: Annotated[Path, typer.Argument(help="Text file of what the audio says.", show_default=False)],
    model: ModelFile = DEFAULT_MODEL,
    out: Annotated[
        list[Path] | None,
        typer.Option(help="File to write in the format that its name ends in, as x.srt or x.TextGrid; repeatable."),
    ] = None,
    format: Annotated[
        str, typer.Option(help="Without --out, to standard output: txt, srt, vtt, tsv, json, ctm or textgrid.")
    ] = "ctm",
    device: Device = "auto",
) -> None:
    """Find when each word of a known text is said.

    Lines of the text become segments, and its own spelling is kept.
    """
    from audioroto.audio.load import load_audio
    from audioroto.config import Search
    from audioroto.errors import printable
    from audioroto.files import write_text
    from audioroto.infer.align import align_text
    from audioroto.infer.origin import describe_file
    from audioroto.infer.recognizer import load_model
    from audioroto.infer.writers import check_format, format_transcript, read_formats
    from audioroto.model.pretrained import find_model
    from audioroto.text.sentences import open_text

    formats = [path.suffix.removeprefix(".").lower() for path in out] if out else read_formats(format)
    for name in formats:
        check_format(name)
    recognizer = load_model(model, device, Search())  # nothing is searched for, so that no n-gram is needed
    samples, _ = load_audio(audio, recognizer.sample_rate)
    with open_text(text) as lines:
        transcript = align_text(recognizer, samples, lines.read())
    about = {"model": describe_file(find_model(model)), "settings": {"text": printable(text.name)}}
    contents = [format_transcript(transcript, name, name=printable(audio.stem), about=about) for name in formats]
    if not out:
        print("".join(contents), end="")
        return
    for path, content in zip(out, contents, strict=True):
        write_text(path, content)
        print(f"{printable(str(path))}: {len(transcript.words)} words in {transcript.seconds:.2f} s")
