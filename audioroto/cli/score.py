"""audioroto score"""

from pathlib import Path
from typing import Annotated

import typer


def score(
    ref: Annotated[Path, typer.Argument(help="Reference: a Kaldi text file, or a data directory that has one.")],
    hyp: Annotated[Path, typer.Argument(help="Hypothesis: the same, or a .trn file.")],
    hyp2: Annotated[Path | None, typer.Argument(help="A second hypothesis, compared with the first.")] = None,
    normalizer: Annotated[
        str, typer.Option(help="Applied to all texts before they are scored; none: as they are.")
    ] = "librispeech-v1",
    utt2spk: Annotated[Path | None, typer.Option(help="Speaker of each utterance; else utt2spk beside REF.")] = None,
    out_dir: Annotated[
        Path | None, typer.Option(help="Write tables, confusions, alignments, an HTML page, sclite's files and JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Word and character error rates with their intervals; with two hypotheses, which is better and how sure that is.

    A missing hypothesis counts as deletions of all its words.
    """
    import json
    from dataclasses import asdict

    from rich.console import Console

    from audioroto.score.evaluation import compare, evaluate
    from audioroto.score.report import format_comparison, format_scores, make_summary, make_summary_table, write_report

    references, speakers = _read_texts(ref, normalizer), _read_speakers(ref, utt2spk)
    paths = {"A": hyp} if hyp2 is None else {"A": hyp, "B": hyp2}
    hypotheses = {name: _read_texts(path, normalizer) for name, path in paths.items()}
    evaluations = {name: evaluate(references, texts, normalizer, speakers) for name, texts in hypotheses.items()}
    comparison = compare(evaluations["A"], evaluations["B"]) if hyp2 else None
    if out_dir:
        for name, evaluation in evaluations.items():
            write_report(out_dir / name if hyp2 else out_dir, evaluation, references, hypotheses[name])
    if as_json:
        summaries = {name: make_summary(evaluation) for name, evaluation in evaluations.items()}
        result = {**summaries, "comparison": asdict(comparison)} if comparison else summaries["A"]
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    for name, evaluation in evaluations.items():
        print(f"{name}: {paths[name]}\n{format_scores(evaluation)}" if hyp2 else format_scores(evaluation))
    Console().print(make_summary_table(evaluations))
    if comparison:
        print(format_comparison(comparison, "A", "B"))


def _read_texts(path: Path, normalizer: str) -> dict[str, str]:
    from audioroto.corpus.datadir import read_table
    from audioroto.score.sclite import read_trn
    from audioroto.text.normalize import normalize

    path = path / "text" if path.is_dir() else path
    texts = read_trn(path) if path.suffix == ".trn" else read_table(path)
    return texts if normalizer == "none" else {name: normalize(text, normalizer) for name, text in texts.items()}


def _read_speakers(ref: Path, utt2spk: Path | None) -> dict[str, str] | None:
    from audioroto.corpus.datadir import read_table

    beside = (ref if ref.is_dir() else ref.parent) / "utt2spk"
    if utt2spk is None and not beside.exists():
        return None
    return read_table(utt2spk or beside)
