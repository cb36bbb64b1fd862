"""audioroto prepare mini | librispeech | an4 | english | table | kaldi | subset"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audioroto.cli.options import DataDirs

if TYPE_CHECKING:
    from audioroto.corpus.datadir import DatadirSummary

app = typer.Typer(help="Make data directories (wav.scp, text, utt2spk …) from a corpus.", no_args_is_help=True)

CorpusDir = Annotated[Path, typer.Option(help="The folder that holds the corpus.")]
OutDir = Annotated[Path, typer.Option(help="Where the data directories go, one folder for each split.")]


@app.command()
def mini(
    out_dir: OutDir = Path("data/prepared/mini"),
    corpus_dir: CorpusDir = Path("data/mini"),
    synthesise: Annotated[bool, typer.Option(help="First make the audio again, with espeak-ng.")] = False,
) -> None:
    """The embedded corpus: spoken numbers and short commands by synthetic voices."""
    from audioroto.corpus.prepare.mini import prepare_mini, synthesise_mini

    if synthesise:
        synthesise_mini(corpus_dir)
    _print_summaries(prepare_mini(out_dir, corpus_dir))


@app.command()
def librispeech(
    corpus_dir: CorpusDir,
    splits: Annotated[
        list[str] | None, typer.Argument(metavar="[SPLIT]...", help="Which, A+B two as one; all without.")
    ] = None,
    out_dir: OutDir = Path("data/prepared/librispeech"),
) -> None:
    """A corpus in LibriSpeech's layout: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac and .trans.txt."""
    from audioroto.corpus.prepare.librispeech import prepare_librispeech

    _print_summaries(prepare_librispeech(corpus_dir, out_dir, splits or []))


@app.command()
def an4(
    corpus_dir: CorpusDir,
    out_dir: OutDir = Path("data/prepared/an4"),
    valid_speakers: Annotated[int, typer.Option(min=0, help="Training speakers to hold out for validation.")] = 8,
) -> None:
    """CMU AN4; validation is done on held-out speakers of the training part."""
    from audioroto.corpus.datadir import read_table
    from audioroto.corpus.prepare.an4 import prepare_an4

    _print_summaries(prepare_an4(corpus_dir, out_dir, valid_speakers))
    if valid_speakers:
        typer.echo(f"speakers held out for validation: {' '.join(read_table(out_dir / 'valid' / 'spk2utt'))}")


@app.command()
def english(
    corpus_dir: CorpusDir,
    out_dir: OutDir = Path("data/prepared/english"),
) -> None:
    """What the English model is trained on: a folder with LibriSpeech/, an4/, commonvoice/ and readers/."""
    from audioroto.corpus.prepare.english import prepare_english

    _print_summaries(prepare_english(corpus_dir, out_dir))


@app.command()
def table(
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="TSV or CSV with columns path, speaker, text.")],
    out_dir: OutDir,
    split: Annotated[str, typer.Option(help="Name of the data directory in OUT_DIR.")] = "train",
    audio_dir: Annotated[Path | None, typer.Option(help="Where paths count from; else the table's folder.")] = None,
    normalizer: Annotated[
        str | None, typer.Option(help="Normaliser of the texts: english-v1 spells numbers; without one they stay.")
    ] = None,
    valid_share: Annotated[
        float,
        typer.Option(help="Part of the audio, such as 0.1, to hold out as OUT_DIR/valid: whole speakers if possible."),
    ] = 0.0,
    test_share: Annotated[float, typer.Option(help="The same for OUT_DIR/test.")] = 0.0,
) -> None:
    """Your own audio files and a table of what is said in them.

    The first row names the columns: path and text, and if known speaker, id. Without such a row the columns are
    path, text, or path, speaker, text, or path, speaker, seconds, text. Paths may lack their .wav.
    """
    from audioroto.corpus.prepare.table import prepare_table

    summaries = prepare_table(
        table,
        out_dir,
        split,
        audio_dir=audio_dir,
        normalizer=normalizer,
        valid_share=valid_share,
        test_share=test_share,
    )
    _print_summaries(summaries)


@app.command()
def kaldi(
    source_dirs: DataDirs,
    out_dir: OutDir,
) -> None:
    """Kaldi data directories of others: commands in wav.scp are replaced by the files they decode, never run."""
    from audioroto.corpus.prepare.kaldi import prepare_kaldi

    _print_summaries(prepare_kaldi(source_dirs, out_dir))


@app.command()
def subset(
    source_dir: Annotated[Path, typer.Argument(metavar="DATA_DIR", help="The data directory to take from.")],
    hours: Annotated[float, typer.Option(help="Hours of audio to take.", min=0.001)],
    out: Annotated[Path, typer.Option(help="The data directory to write.")],
) -> None:
    """Fewer hours of a data directory, spread over its speakers; a smaller subset lies within a larger one."""
    from audioroto.corpus.prepare.subset import prepare_subset

    _print_summaries({out.name: prepare_subset(source_dir, hours, out)})


def _print_summaries(summaries: dict[str, DatadirSummary]) -> None:
    from rich.console import Console
    from rich.table import Table

    counts = Table("split")
    for heading in ("utterances", "hours", "speakers", "words"):
        counts.add_column(heading, justify="right")
    for split, summary in summaries.items():
        numbers = (f"{summary.utterances:,}", f"{summary.hours:.2f}", f"{summary.speakers:,}", f"{summary.words:,}")
        counts.add_row(split, *numbers)
    Console(markup=False).print(counts)
