import json

import pytest

from audioroto.bench.startup import bench_startup, measure_starts
from audioroto.errors import UserError


def test_what_a_process_waits_for_is_not_processor_time():
    starts = measure_starts(
        {
            "sleeps": ["-c", "import time; time.sleep(0.5)"],
            "works": ["-c", "import time\nwhile time.process_time() < 0.5: pass"],
        },
        num_rounds=1,
    )
    assert starts["sleeps"].elapsed >= 0.5 > starts["sleeps"].processor
    assert starts["works"].elapsed >= starts["works"].processor - 0.02 >= 0.48


def test_a_process_that_fails_is_named():
    with pytest.raises(UserError, match=r"breaks ended with status 3: no$"):
        measure_starts({"breaks": ["-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"]}, num_rounds=1)


def test_transcribing_takes_longer_than_torch_and_help_less(trained, tone_corpus, tmp_path, capsys):
    audio = next(tone_corpus.rglob("*.wav"))
    starts = bench_startup(trained / "model.safetensors", audio, num_rounds=1, out_dir=tmp_path)
    empty, package, usage, torch, greedy, transcribe = (start.processor for start in starts.values())
    assert empty <= package < torch < min(greedy, transcribe)
    assert usage < greedy
    assert json.loads((tmp_path / "figures.json").read_text())["starts"]["import torch"]["processor"] == torch
    assert "import torch" in capsys.readouterr().out
