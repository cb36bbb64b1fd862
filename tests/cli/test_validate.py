from pathlib import Path

import numpy as np
import soundfile
import typer
from typer.testing import CliRunner

from audioroto.cli.validate import validate
from audioroto.corpus.datadir import Utterance, write_datadir


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

    audio.unlink()
    result = run(app, ["--fix", str(data)])
    assert result.exit_code == 1
    assert result.output.count("no such file") == 2
    assert "correct the lines above" in result.output
