"""audioroto export"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from audioroto.bench.export import Proof


def export(
    model: Annotated[
        Path,
        typer.Argument(
            help="Model file made by 'audioroto average', or the name of one that comes with audioroto.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="ONNX file to write; 'audioroto transcribe --model' runs it.")],
    int8: Annotated[bool, typer.Option("--int8", help="Quantise the matrices: smaller, faster, not the same.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Data directory to prove it on: 100 utterances, FILE.proof.json beside FILE.")
    ] = None,
) -> None:
    """Write a model as ONNX: samples in, CTC log-probabilities out, with all that is needed to transcribe by it.

    The attention decoder is left out. With --data-dir, what comes out is held against the original: texts, word errors,
    speed on one thread, size.
    """
    from audioroto.errors import UserError

    try:
        from audioroto.export.file import check_name, export_model
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise UserError("onnx is not installed; run pip install 'audioroto[onnx]'") from None
    from audioroto.bench.export import Candidate, prove_export, write_proof
    from audioroto.model.pretrained import find_model

    check_name(out)
    model = find_model(model)
    facts = export_model(model, out, "int8" if int8 else "float32")
    print(
        f"{out}: {facts.num_parameters:,} parameters in {facts.precision}, {out.stat().st_size / 1e6:.1f} MB, "
        f"from {facts.source['name']} ({facts.source['sha256'][:12]})"
    )
    if data_dir is None:
        return
    with TemporaryDirectory() as folder:
        candidates = [Candidate("torch", model), Candidate(f"onnx {facts.precision}", out)]
        if int8:
            whole = Path(folder) / "float32.onnx"
            export_model(model, whole)
            candidates.insert(1, Candidate("onnx float32", whole))
        proof = prove_export(candidates, data_dir)
    _print(proof)
    written = out.with_suffix(".proof.json")
    write_proof(written, proof)
    print(written)


def _print(proof: "Proof") -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        Column("model", no_wrap=True),
        "MB",
        "WER %",
        "real-time factor",
        "times faster",
        "identical %",
        "largest difference",
        title=f"{proof.data_dir}: {proof.utterances} utterances, {proof.audio_seconds:.0f} s; one thread",
        title_justify="left",
    )
    for each in proof.measured:
        table.add_row(
            each.name,
            f"{each.size_bytes / 1e6:.1f}",
            f"{100 * each.word_error_rate:.2f}",
            f"{each.real_time_factor:.4f}",
            f"{each.times_faster:.2f}",
            f"{100 * each.identical_share:.1f}",
            f"{each.largest_difference:.1e}",
        )
    console = Console()
    console.print(table)
    for floor in proof.floors:
        verdict = "kept" if floor.kept else "[bold red]MISSED[/]"
        console.print(f"{floor.what} {floor.limit:g}: {floor.found:.3g}, {verdict}", highlight=False, soft_wrap=True)
