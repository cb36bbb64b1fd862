"""audioroto score"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer


def score(
    ref: Annotated[Path, typer.Argument(help="Reference: a Kaldi text file, or a data directory that has one.")],
    hyp: Annotated[Path, typer.Argument(help="Hypothesis: the same, or a .trn file.")],
    hyp2: Annotated[Path | None, typer.Argument(help="A second hypothesis, compared with the first.")] = None,
    normalizer: Annotated[
        str | None,
        typer.Option(
            help="Applied to all texts before they are scored; none: as they are. Without it: that of the model, as "
            "recognition.json beside HYP says, or else librispeech-v1.",
            show_default=False,
        ),
    ] = None,
    utt2spk: Annotated[Path | None, typer.Option(help="Speaker of each utterance; else utt2spk beside REF.")] = None,
    ctm: Annotated[
        Path | None,
        typer.Option(help="The words of HYP with confidences: how well these tell right words from wrong ones."),
    ] = None,
    out_dir: Annotated[
        Path | None, typer.Option(help="Write tables, confusions, alignments, an HTML page, sclite's files and JSON.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Word and character error rates with their intervals; with two hypotheses, which is better and how sure that is.

    A missing hypothesis counts as deletions of all its words.
    """
    import json

    from rich.console import Console

    from audioroto.errors import UserError
    from audioroto.score.confidence import format_grades, grade_utterances, summarize_grades, write_grades
    from audioroto.score.evaluation import compare, evaluate
    from audioroto.score.report import (
        format_comparison,
        format_scores,
        make_comparison_summary,
        make_summary,
        make_summary_table,
        write_report,
    )

    if ctm and hyp2:
        raise UserError("--ctm is of one hypothesis; score the two one by one to see their confidences")
    paths = {"A": hyp} if hyp2 is None else {"A": hyp, "B": hyp2}
    normalizer = normalizer or _find_normalizer(paths.values())
    references, speakers = _read_texts(ref, normalizer), _read_speakers(ref, utt2spk)
    hypotheses = {name: _read_texts(path, normalizer) for name, path in paths.items()}
    evaluations = {name: evaluate(references, texts, normalizer, speakers) for name, texts in hypotheses.items()}
    comparison = compare(evaluations["A"], evaluations["B"]) if hyp2 else None
    grades = grade_utterances(evaluations["A"].alignments, _read_words(ctm, normalizer)) if ctm else None
    if out_dir:
        for name, evaluation in evaluations.items():
            write_report(out_dir / name if hyp2 else out_dir, evaluation, references, hypotheses[name])
        if grades:
            write_grades(out_dir, grades)
    if as_json:
        summaries = {name: make_summary(evaluation) for name, evaluation in evaluations.items()}
        if grades:
            summaries["A"]["confidence"] = summarize_grades(grades)
        result = {**summaries, "comparison": make_comparison_summary(comparison)} if comparison else summaries["A"]
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    for name, evaluation in evaluations.items():
        print(f"{name}: {paths[name]}\n{format_scores(evaluation)}" if hyp2 else format_scores(evaluation))
    Console().print(make_summary_table(evaluations))
    if comparison:
        print(format_comparison(comparison, "A", "B"))
    if grades:
        print(format_grades(grades))


def _find_normalizer(paths: Iterable[Path]) -> str:
    import json

    from audioroto.errors import UserError

    named = set()
    for path in paths:
        facts = (path if path.is_dir() else path.parent) / "recognition.json"
        if facts.exists():
            try:  # Note: what earlier versions recognized does not name it.
                named.add(json.loads(facts.read_text("utf-8")).get("normalizer", "librispeech-v1"))
            except (ValueError, AttributeError):
                raise UserError(f"{facts} is damaged; recognize again, or give --normalizer") from None
    if len(named) > 1:
        raise UserError(f"the models' normalisers differ ({', '.join(sorted(named))}): choose one by --normalizer")
    return named.pop() if named else "librispeech-v1"


def _read_texts(path: Path, normalizer: str) -> dict[str, str]:
    from audioroto.corpus.datadir import read_table
    from audioroto.score.sclite import read_trn
    from audioroto.text.normalize import normalize

    path = path / "text" if path.is_dir() else path
    texts = read_trn(path) if path.suffix == ".trn" else read_table(path)
    return texts if normalizer == "none" else {name: normalize(text, normalizer) for name, text in texts.items()}


def _read_words(ctm: Path, normalizer: str) -> dict[str, list[tuple[str, float]]]:
    from audioroto.errors import UserError
    from audioroto.score.sclite import read_ctm
    from audioroto.text.normalize import normalize

    words: dict[str, list[tuple[str, float]]] = {}
    for name, found in read_ctm(ctm).items():
        for word in found:
            if word.confidence is None:
                raise UserError(f"{ctm}: the word {word.word} of {name} has no confidence")
            parts = [word.word] if normalizer == "none" else normalize(word.word, normalizer).split()
            words.setdefault(name, []).extend((part, word.confidence) for part in parts)
    return words


def _read_speakers(ref: Path, utt2spk: Path | None) -> dict[str, str] | None:
    from audioroto.corpus.datadir import read_table

    beside = (ref if ref.is_dir() else ref.parent) / "utt2spk"
    if utt2spk is None and not beside.exists():
        return None
    return read_table(utt2spk or beside)
