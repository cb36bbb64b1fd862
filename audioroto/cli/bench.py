"""audioroto bench rotation | attention | train | loading | transcribe | long | startup | ablation | guards | serve"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import (
    BatchSeconds,
    ConfigFiles,
    Device,
    LmFile,
    ModelFile,
    Overrides,
    SearchMode,
    Threads,
    TrainDir,
    load_search,
)

app = typer.Typer(help="Measure what the parts are worth and what they cost.", no_args_is_help=True)

OutDir = Annotated[Path, typer.Option("--out", help="Folder for the figures (JSON), and a picture of some.")]


@app.command()
def rotation(
    out_dir: OutDir = Path("exp/bench/rotation"),
    corpus_dir: Annotated[Path, typer.Option(help="The embedded corpus, on which small models are trained.")] = Path(
        "data/mini"
    ),
    model: Annotated[
        Path | None, typer.Option(help="Model file with a rotation: decorrelation is measured on it as well.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Without what needs a recogniser to be trained.")] = False,
) -> None:
    """The five benefits claimed for the combined rotation, each with a figure."""
    from audioroto.bench.rotation import bench_rotation

    bench_rotation(out_dir, corpus_dir, model, fast)


@app.command()
def attention(
    out_dir: OutDir = Path("exp/bench/attention"),
    config: ConfigFiles = None,
    overrides: Overrides = None,
    memory_gib: Annotated[float, typer.Option(min=0.1, help="A kind that needs more goes no further.")] = 4.0,
    limit_seconds: Annotated[
        float, typer.Option(min=1.0, help="The same for a length whose measuring, start and all, takes longer.")
    ] = 180.0,
    device: Device = "cpu",
) -> None:
    """Time and peak memory of local, hybrid and dense attention, from 10 s to 1 h of audio."""
    from audioroto.bench.attention import bench_attention
    from audioroto.config import load_config

    settings = load_config(config or [], overrides or [])
    memory_bytes = round(memory_gib * 2**30)
    bench_attention(settings, out_dir, device, memory_bytes=memory_bytes, limit_seconds=limit_seconds)


@app.command()
def train(
    config: ConfigFiles = None,
    overrides: Overrides = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="'SECTION.KEY=VALUE …'", help="Further settings to compare; repeatable, a variant each."),
    ] = None,
    peers: Annotated[
        list[str] | None,
        typer.Option("--peer", help="Also measure the Conformer of torchaudio, speechbrain or espnet; repeatable."),
    ] = None,
    num_utterances: Annotated[int, typer.Option(min=1, help="Utterances in the synthetic batch.")] = 8,
    min_seconds: Annotated[float, typer.Option(min=0.1, help="Its shortest utterance.")] = 4.0,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Its longest utterance.")] = 15.0,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each variant, taken in turns.")] = 7,
    out_dir: OutDir = Path("exp/bench/train"),
    device: Device = "cpu",
) -> None:
    """Cost of a training step: audio a second, peak memory, share of the machine's matrix products."""
    from audioroto.bench.step import BatchShape, bench_step, read_variants

    names, configs = read_variants(config or [], overrides or [], against or [])
    shape = BatchShape(num_utterances, min_seconds, max_seconds)
    bench_step(names, configs, shape, out_dir, device, rounds, peers)


@app.command()
def transcribe(
    model: ModelFile,
    files: Annotated[
        list[str] | None, typer.Argument(help="Audio files or folders; FILE.txt beside each is its text.")
    ] = None,
    data_dirs: Annotated[
        list[Path] | None, typer.Option("--data-dir", help="Data directory to measure on; repeatable, a set each.")
    ] = None,
    peers: Annotated[
        list[str] | None, typer.Option("--peer", help="pocketsphinx: measured beside it, where it is installed.")
    ] = None,
    mode: SearchMode = None,
    lm: LmFile = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    normalizer: Annotated[str, typer.Option(help="Applied to all texts before they are scored.")] = "librispeech-v1",
    out_dir: OutDir = Path("exp/bench/transcribe"),
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Word errors, real-time factor, latency and memory of a model on recordings, beside a peer; resumable."""
    from audioroto.bench.systems import make_candidates
    from audioroto.bench.transcribe import bench_transcribe, read_recordings

    search = load_search(model, config, overrides, mode, lm)
    candidates = make_candidates(model, peers or [], lm=lm, search=search, device=device, threads=threads)
    bench_transcribe(candidates, read_recordings(files or [], data_dirs or []), out_dir, normalizer)


@app.command("long")
def long_recording(
    files: Annotated[list[str], typer.Argument(help="Audio files or folders; repeated until they fill the hours.")],
    model: ModelFile,
    hours: Annotated[float, typer.Option(min=0.01, help="Length of the recording that they make.")] = 10.0,
    mode: SearchMode = None,
    lm: LmFile = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    out_dir: OutDir = Path("exp/bench/long"),
    device: Device = "cpu",
    threads: Threads = None,
) -> None:
    """Whether memory stays bounded: hours of speech as one recording, and what the process holds on the way."""
    from audioroto.bench.long import bench_long
    from audioroto.infer.inputs import find_audio
    from audioroto.infer.recognizer import load_model
    from audioroto.model.allocator import keep_freed_memory

    keep_freed_memory()
    recognizer = load_model(model, device, load_search(model, config, overrides, mode, lm), lm, threads=threads)
    bench_long(recognizer, [Path(audio.path) for audio in find_audio(files)], hours, out_dir)


@app.command()
def startup(
    model: ModelFile,
    audio: Annotated[Path, typer.Argument(help="A short recording.")],
    rounds: Annotated[int, typer.Option(min=1, help="How often each is started.")] = 5,
    out_dir: OutDir = Path("exp/bench/startup"),
) -> None:
    """How long it takes from the command to the text of a short recording, beside importing torch alone."""
    from audioroto.bench.startup import bench_startup

    bench_startup(model, audio, rounds, out_dir)


@app.command()
def loading(
    train_dir: TrainDir,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Model made by 'audioroto tokenizer'; made from the transcripts by default.")
    ] = None,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    updates: Annotated[int, typer.Option(min=1, help="Updates in a round.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds from memory and through the loader, in turns.")] = 3,
    out_dir: OutDir = Path("exp/bench/loading"),
    device: Device = "auto",
) -> None:
    """Whether data keeps up: training on batches that are ready, and on those that are being loaded."""
    from audioroto.bench.loading import bench_loading
    from audioroto.config import load_config

    settings = load_config(config or [], overrides or [])
    bench_loading(settings, train_dir, tokenizer, out_dir, device, updates, rounds)


@app.command()
def ablation(
    train_dir: TrainDir,
    valid_dir: Annotated[
        Path, typer.Option(help="Data directory to choose checkpoints and to measure on; no test set.")
    ],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the runs and the report; finished runs stay.")],
    arms: Annotated[
        str, typer.Option(help="Arms to run, with commas between, or a group of them: components, switches.")
    ] = "components",
    seeds: Annotated[str, typer.Option(help="Seeds to run each arm with, with commas between.")] = "1",
    config: ConfigFiles = None,
    overrides: Overrides = None,
    device: Device = "auto",
) -> None:
    """What each component or switch is worth: an arm for each, on equal terms; Ctrl-C saves, the same command goes on.

    The configuration says how large the models are and how long they train; its text section makes the tokenizer.
    Two calls may share a folder at the same time if no arm and seed is in both, and its tokenizer is there already.
    """
    from rich.console import Console

    from audioroto.bench.ablation import run_ablation
    from audioroto.bench.ablation_report import make_overview
    from audioroto.errors import UserError

    numbers = seeds.replace(",", " ").split()
    if not numbers or not all(map(str.isdecimal, numbers)):
        raise UserError(f"--seeds {seeds}: write whole numbers with commas between, for example --seeds 1,2,3")
    summary = run_ablation(
        train_dir,
        valid_dir,
        out_dir,
        config_paths=config or [],
        overrides=overrides or [],
        arms=arms.replace(",", " ").split(),
        seeds=[int(number) for number in numbers],
        device=device,
        console=Console(stderr=True),
    )
    Console().print(make_overview(summary))
    print(f"{out_dir / 'ablation.md'}: tables, and how to read them; the picture is {out_dir / 'ablation.png'}")


@app.command()
def guards(
    model: ModelFile,
    noise_dir: Annotated[
        Path | None, typer.Option(help="Recordings without speech; a manifest.tsv in it names their classes.")
    ] = None,
    modes: Annotated[str, typer.Option(help="Searches, with commas between; all that the model has by default.")] = "",
    lm: LmFile = None,
    minutes: Annotated[float, typer.Option(min=0.01, help="Of each made sound at each level.")] = 1.0,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    out_dir: OutDir = Path("exp/bench/guards"),
    device: Device = "auto",
) -> None:
    """Words a minute said where nobody speaks, without the energy gate and with it: silence, noise, hum, clicks.

    Of the configuration only the section search is looked at.
    """
    from audioroto.bench.guards import bench_guards
    from audioroto.infer.recognizer import load_model

    recognizer = load_model(model, device, load_search(model, config, overrides, None), lm)
    bench_guards(recognizer, out_dir, modes.replace(",", " ").split() or recognizer.modes, noise_dir, minutes)


@app.command()
def serve(
    model: ModelFile,
    files: Annotated[list[str] | None, typer.Argument(help="Audio files or folders to be sent.")] = None,
    data_dirs: Annotated[
        list[Path] | None, typer.Option("--data-dir", help="Data directory to send; repeatable.")
    ] = None,
    clients: Annotated[int, typer.Option(min=1, help="At once, against one at a time.")] = 32,
    requests: Annotated[int, typer.Option(min=1, help="That are sent in either way.")] = 128,
    memory_requests: Annotated[
        int, typer.Option(min=0, help="Over which the server's memory is watched; 0: none.")
    ] = 0,
    streams: Annotated[int, typer.Option(min=0, help="That are spoken into at once; 0: none.")] = 4,
    stream_seconds: Annotated[float, typer.Option(min=1.0, help="That each of them lasts.")] = 30.0,
    mode: SearchMode = None,
    batch_seconds: BatchSeconds = 60.0,
    out_dir: OutDir = Path("exp/bench/serve"),
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """A server under load: many clients at once against one at a time, its memory, the delays of streams.

    Fails when an answer is lost, or a text depends on who else was there.
    """
    from audioroto.bench.transcribe import read_recordings
    from audioroto.errors import UserError

    try:
        from audioroto.bench.serve import bench_serve
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; run: pip install 'audioroto[serve]'") from None

    recordings = read_recordings(files or [], data_dirs or [])
    options = ["--model", str(model), "--batch-seconds", str(batch_seconds), "--device", device]
    bench_serve(
        [
            *options,
            *(["--mode", mode] if mode else []),
            *(["--threads", str(threads)] if threads else []),
        ],
        [utterance for members in recordings.values() for utterance in members],
        out_dir,
        num_clients=clients,
        num_requests=requests,
        memory_requests=memory_requests,
        num_streams=streams,
        stream_seconds=stream_seconds,
    )
