import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.infer.folder import OutputFolder, transcribe_to_folder
from audioroto.infer.inputs import find_audio
from audioroto.infer.origin import describe_origin
from audioroto.infer.recognize import recognize_datadir
from audioroto.infer.recognizer import load_model
from audioroto.infer.team import Team, divide


@given(st.lists(st.floats(0, 100), max_size=30), st.integers(1, 5))
def test_shares_are_a_partition_and_none_is_much_longer_than_another(seconds, num_shares):
    shares = divide(seconds, num_shares)
    assert sorted(index for share in shares for index in share) == list(range(len(seconds)))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(seconds[index] for index in share) for share in shares]
    assert max(loads) - min(loads) <= max(seconds, default=0) + 1e-9
    assert shares == divide(list(seconds), num_shares)


def test_a_process_alone_agrees_with_itself():
    team = Team()
    assert (team.leads, team.size) == (True, 1)
    assert team.agree("a", lambda: [1]) == [1]
    assert team.gather("b", 2) == [2]


def test_processes_that_nobody_brings_together_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="torchrun"):
        Team()


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False)


def read_all(folder: Path, pattern: str) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob(pattern)) if path.is_file()}


def test_two_processes_transcribe_what_one_does(trained, tone_corpus, tmp_path):
    for number, path in enumerate(sorted((tone_corpus / "audio").glob("[gh]-*.wav"))):
        target = tmp_path / "in" / str(number % 3) / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "in" / "bad.wav").write_bytes(b"no audio")
    inputs = find_audio([tmp_path / "in"])
    model = trained / "model.safetensors"
    recognizer = load_model(model, device="cpu")
    about = describe_origin(recognizer, model, ["ctc_greedy"])
    run = transcribe_to_folder(
        recognizer.transcribe, inputs, OutputFolder(tmp_path / "one", ["txt", "json"], "model", about)
    )
    assert (run.num_transcribed, len(run.failures)) == (8, 1)
    given = ("--model", model, "--format", "txt,json", "--device", "cpu", "--out", tmp_path / "two")
    done = python("-m", "audioroto", "transcribe", tmp_path / "in", "--num-processes", 2, *given)
    assert done.returncode == 1
    assert "8 files transcribed, 0 done before, 1 failed" in done.stderr
    for pattern in ("*.txt", "*.json"):
        assert read_all(tmp_path / "one", pattern) == read_all(tmp_path / "two", pattern)
    assert len(read_all(tmp_path / "two", "*.txt")) == 8
    run = transcribe_to_folder(
        recognizer.transcribe, inputs, OutputFolder(tmp_path / "two", ["txt", "json"], "model", about)
    )
    assert (run.num_transcribed, run.num_done_before) == (0, 8)


def test_two_processes_recognize_what_one_does(trained, tone_corpus, tmp_path):
    model, data_dir = trained / "model.safetensors", tone_corpus / "valid"
    recognize_datadir(load_model(model, device="cpu"), data_dir, tmp_path / "one", ["ctc_greedy", "ctc_beam"])
    given = ("--device", "cpu", "--modes", "ctc_greedy,ctc_beam", "--batch-seconds", 2)
    given += ("--model", model, "--data-dir", data_dir, "--out-dir", tmp_path / "two")
    launched = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "audioroto")
    done = python(*launched, "recognize", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("8 utterances") == 2  # a line for each mode, from one process
    assert read_all(tmp_path / "one", "text") == read_all(tmp_path / "two", "text")
    assert read_all(tmp_path / "one", "words.ctm") == read_all(tmp_path / "two", "words.ctm")
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["ctc_beam", "ctc_greedy"]
