"""A run's facts and scores, gathered from its model file and its recognized test sets into one committed JSON file."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

from audioroto.corpus.datadir import read_datadir, read_table, summarize
from audioroto.errors import UserError
from audioroto.files import write_bytes
from audioroto.infer.origin import describe_file
from audioroto.model.pretrained import find_model
from audioroto.score.evaluation import evaluate
from audioroto.score.results import RunResult, SetSize, TestSetResult, make_test_set_result, write_run
from audioroto.text.normalize import normalize


def record_run(
    results_dir: str | Path,
    *,
    run: str,
    corpus: str,
    train_set: str,
    valid_set: str,
    model: str | Path,
    data_dir: str | Path,
    recognize_dir: str | Path,
    test_sets: Sequence[str],
    command: str,
    config: Sequence[str],
    curve: str | Path | None = None,
    notes: str = "",
) -> Path:
    """Score RECOGNIZE_DIR/<test set>/<mode> against DATA_DIR/<test set> and write RESULTS_DIR/<run>.json.

    All modes that are there are kept, and the picture `curve` beside the file. Hours, minutes, hardware and commit come
    from the model file. Raises UserError when a test set was not recognized, or not by this model.
    """
    from audioroto.model.checkpoint import load_checkpoint

    if not run or "/" in run:
        raise UserError(f"--run {run!r} is no name for a file; give one without /")
    checkpoint = load_checkpoint(model)
    model_file = describe_file(find_model(model))
    normalizer = checkpoint.config.text.normalizer
    results = [
        _score(Path(data_dir, test_set), folder, test_set, normalizer, model_file)
        for test_set in test_sets
        for folder in _find_modes(Path(recognize_dir, test_set), Path(data_dir, test_set))
    ]
    if curve:
        write_bytes(Path(results_dir, f"{run}.png"), Path(curve).read_bytes())
    environment, notes_of_model = checkpoint.environment, checkpoint.notes
    dirty = " with changes" if environment.get("dirty") == "true" else ""
    return write_run(
        results_dir,
        RunResult(
            run=run,
            corpus=corpus,
            train_set=train_set,
            train_hours=notes_of_model["train"]["hours"],
            train_minutes=notes_of_model["train_minutes"],
            hardware=environment["hardware"],
            parameters=notes_of_model["parameters"],
            command=command,
            commit=environment.get("commit", "no repository")[:12] + dirty,
            config=tuple(config),
            normalizer=normalizer,
            date=datetime.date.today(),
            results=tuple(results),
            sets=tuple(_measure(Path(data_dir, name), name) for name in (train_set, valid_set, *test_sets)),
            curve=f"{run}.png" if curve else "",
            notes=notes,
        ),
    )


def _measure(data_dir: Path, name: str) -> SetSize:
    summary = summarize(read_datadir(data_dir))
    return SetSize(name=name, utterances=summary.utterances, hours=round(summary.hours, 4), speakers=summary.speakers)


def _find_modes(recognized: Path, data_dir: Path) -> list[Path]:
    """The folders of the modes that a test set was recognized in."""
    folders = [facts.parent for facts in sorted(recognized.glob("*/recognition.json"))]
    if not folders:
        raise UserError(f"{recognized} holds no MODE/recognition.json; run 'audioroto recognize' on {data_dir}")
    return folders


def _score(
    data_dir: Path, recognized: Path, test_set: str, normalizer: str, model_file: dict[str, str]
) -> TestSetResult:
    try:
        facts = json.loads((recognized / "recognition.json").read_text(encoding="utf-8"))
        mode, lm, real_time_factor = facts["mode"], facts["lm"], facts["real_time_factor"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{recognized}/recognition.json is damaged; recognize again") from None
    by = facts.get("model") or model_file  # earlier versions did not name it
    if by["sha256"] != model_file["sha256"]:
        raise UserError(f"{recognized} is of another model, {by['name']}; recognize again, or remove the folder")
    references, hypotheses = (
        {key: normalize(text, normalizer) for key, text in read_table(folder / "text").items()}
        for folder in (data_dir, recognized)
    )
    evaluation = evaluate(references, hypotheses, normalizer, read_table(data_dir / "utt2spk"))
    return make_test_set_result(
        evaluation,
        test_set,
        mode=mode,
        lm=lm,
        real_time_factor=real_time_factor,
        peak_memory_bytes=facts.get("peak_memory_bytes"),  # not in what earlier versions recognized
    )
