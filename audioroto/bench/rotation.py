"""The five benefits claimed for the combined rotation, each with a figure: one table, one picture, one file.

`audioroto bench rotation --out DIR` writes DIR/figures.json and DIR/rotation.png. What is measured on speech needs two
small trainings on the embedded corpus, which stay in DIR/speech and are not done again; `--fast` leaves them out.
"""

from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from audioroto.bench.measure import write_figures
from audioroto.bench.rotation_algebra import measure_cost, measure_stability, measure_symmetry
from audioroto.bench.rotation_claim import Claim, print_claims
from audioroto.bench.rotation_picture import draw_claims
from audioroto.bench.rotation_speech import measure_decorrelation, measure_gap, train_small_models
from audioroto.bench.rotation_task import measure_power
from audioroto.corpus.prepare.mini import prepare_mini
from audioroto.errors import UserError
from audioroto.model.pretrained import find_model


def bench_rotation(out_dir: Path, corpus_dir: Path, model: Path | None, fast: bool) -> list[Claim]:
    """Measure, write and print all claims. With `model`, decorrelation is also measured on that model file."""
    if model and fast:
        raise UserError("--fast measures no decorrelation, which is what --model is for; leave one of them out")
    if model:
        find_model(model)
    console = Console(stderr=True)
    with console.status("symmetry, depth, cost"):
        claims = [measure_symmetry(), measure_stability(), measure_cost()]
    with console.status("representational power"):
        claims.append(measure_power())
    if not fast:
        prepare_mini(out_dir / "speech" / "data", corpus_dir)
        runs = train_small_models(out_dir / "speech" / "data", out_dir / "speech", console)
        models = {"small model": runs.models["with"], **({model.name: model} if model else {})}
        with console.status("decorrelation, generalisation"):
            claims += [measure_decorrelation(models, runs.data_dir / "valid"), measure_gap(runs)]
    else:
        skipped = "Not measured: --fast trains no recogniser."
        claims += [Claim(name, [], skipped, {}) for name in ("decorrelation", "stable training: generalisation")]
    write_figures(out_dir / "figures.json", {"claims": [asdict(claim) for claim in claims]})
    draw_claims(claims, out_dir / "rotation.png")
    print_claims(claims)
    return claims
