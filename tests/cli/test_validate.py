import re
from pathlib import Path

import numpy as np
import soundfile
import typer
from typer.testing import CliRunner

from audioroto.cli.validate import validate
from audioroto.corpus.datadir import Utterance, read_datadir, write_datadir
from audioroto.errors import UserError


def test_lists_counts_repairs_and_exits_with_1_while_problems_remain(tmp_path: Path) -> None:
    audio, data = tmp_path / "a.wav", tmp_path / "data"
    soundfile.write(audio, np.full(8000, 0.1, dtype=np.float32), 8000)
    write_datadir(data, [Utterance(f"s-{index}", "s", audio, 1.0, "ONE TWO") for index in range(3)])
    app = typer.Typer()
    app.command()(validate)
    run = CliRunner().invoke

    result = run(app, [str(data)])
    assert (result.exit_code, result.output) == (
        0,
        f"{data}: no problems: 3 utterances, 0.00 hours, 1 speakers, 6 words\n",
    )

    (data / "text").write_text("s-0 ONE TWO\ns-1\ns-2 TWO\n")
    result = run(app, [str(data)])
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{data}/text:2: s-1: empty transcript",
        f"{data}: 1 problems; 'audioroto validate --fix {data}' repairs 1 of them",
    ]

    result = run(app, ["--fix", str(data)])
    assert result.exit_code == 0
    assert result.output.endswith("no problems: 2 utterances, 0.00 hours, 1 speakers, 3 words\n")

    result = run(app, ["--set", "text.units=char", str(data)])
    assert isinstance(result.exception, UserError)

    audio.unlink()
    result = run(app, ["--fix", str(data)])
    assert result.exit_code == 1
    assert result.output.count("no such file") == 2
    assert "correct the lines above" in result.output


def test_for_training_it_tells_what_is_left_out_and_who_is_on_both_sides(tone_corpus: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(validate)
    write_datadir(tmp_path / "test", read_datadir(tone_corpus / "train")[-1:])
    dirs = [str(tone_corpus / "train"), str(tone_corpus / "valid"), str(tmp_path / "test")]
    settings = [
        "--set",
        "text.units=char",
        "--set",
        "train.min_utterance_seconds=0.4",
        "--set",
        "encoder.subsampling=4",
    ]
    result = CliRunner().invoke(app, ["--for-training", *settings, *dirs])
    assert result.exit_code == 0, result.output
    utterances = read_datadir(tone_corpus / "train")
    num_short = sum(utterance.seconds < 0.4 for utterance in utterances)
    assert 0 < num_short < len(utterances)
    assert re.search(rf"left out: shorter than train\.min_utterance_seconds +│ +{num_short} ", result.output)
    assert f"{tmp_path / 'test'}: 1 of its speakers are trained on too (f)" in result.output
    assert "valid: 1 of" not in result.output
    result = CliRunner().invoke(app, ["--for-training", *settings, "--set", "encoder.subsampling=8", *dirs])
    assert result.exit_code == 1  # nothing is left
