import errno
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from audioroto.cli.main import VERBS, main


def audioroto(*arguments: object, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "audioroto", *map(str, arguments)]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)


def test_help_names_every_verb():
    shown = audioroto("--help").stdout
    assert all(f" {verb} " in shown for verb in VERBS)


def test_every_verb_file_is_in_the_table(root):
    files = {path.stem.replace("_", "-") for path in (root / "audioroto" / "cli").glob("[a-z]*.py")}
    assert files - {"launch", "main", "options"} == set(VERBS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribe", "x.wav", "--model", "none.safetensors"], "audioroto: there is no model file none.safetensors"),
        (["show", "config", "--set", "train.sead=1"], "the nearest is train.seed"),
        (["average", "--exp-dir", "nowhere", "--out", "m.safetensors"], "holds no checkpoint"),
        (["average", "--exp-dir=e", "--out=m", "--mix-with=a", "--mix-with=b", "--mix-share=1"], "each, or none"),
        (["recognize", "--model", "m", "--data-dir", "d", "--out-dir", "o", "--lm", "x.arpa"], "asks no n-gram"),
        (["nonsense"], "No such command"),
    ],
)
def test_what_is_refused_is_one_line_and_status_2(arguments, message):
    done = audioroto(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_system_refuses_is_said_with_the_next_step(tmp_path):
    (tmp_path / "text").write_text("SOME WORDS\n")
    (tmp_path / "folder").mkdir()
    for out, message in {
        "text/lm.arpa": f"{tmp_path}/text: a file lies where a folder is wanted; give another name",
        "folder": f"{tmp_path}/folder: a folder lies where a file is wanted; give another name",
    }.items():
        done = audioroto("lm", "--text", tmp_path / "text", "--order", 1, "--out", tmp_path / out)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == f"audioroto: {message}"


@pytest.mark.parametrize(("name", "where"), [("exp/model.safetensors", "exp/model.safetensors: "), (None, "")])
def test_a_full_disk_is_said_with_the_file_and_the_next_step(monkeypatch, capsys, name, where):
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", name)

    monkeypatch.setattr("audioroto.cli.main.app", fill)
    with pytest.raises(SystemExit, match="2"):
        main()
    said = f"audioroto: {where}the disk is full; free some space and give the same command again\n"
    assert capsys.readouterr().err == said


def test_what_a_name_holds_is_printed_as_it_is_or_refused_in_a_line(tmp_path):
    (tmp_path / "\udce9").mkdir()
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-m", "audioroto", "validate", tmp_path / "\udce9"]
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert os.fsencode(tmp_path) + b"/\xe9/wav.scp: the file is missing" in done.stdout
    command[-1] = tmp_path / "日"
    command[-1].mkdir()
    environment["PYTHONIOENCODING"] = "latin-1"
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().startswith("audioroto: '\\u65e5' cannot be printed in latin-1; use --out")


def test_debug_shows_the_traceback():
    assert "Traceback" in audioroto("--debug", "average", "--exp-dir", "no", "--out", "m").stderr


def test_a_reader_that_has_seen_enough_is_no_failure(trained, tone_corpus):
    audio = next(Path(tone_corpus, "audio").glob("g-*.wav"))
    for arguments in (["show", "config"], ["transcribe", audio, "--model", trained / "model.safetensors"]):
        read, write = os.pipe()
        os.close(read)
        done = audioroto(*arguments, stdout=write)
        os.close(write)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_is_status_130(monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rich.console.Console.print", interrupt)
    monkeypatch.setattr(sys, "argv", ["audioroto", "show", "config"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130


def test_transcribe_goes_on_after_a_bad_file(trained, tone_corpus, tmp_path):
    good = sorted(Path(tone_corpus, "audio").glob("g-*.wav"))[:2]
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"not audio")
    done = audioroto("transcribe", good[0], bad, good[1], "--model", trained / "model.safetensors")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.partition("\t")[0] for line in lines] == [str(path) for path in good]
    assert len(done.stderr.strip().splitlines()) == 1
    assert "bad.wav" in done.stderr


def test_tuned_settings_are_what_recognize_reads(trained, tone_corpus, tmp_path):
    pytest.importorskip("flashlight.lib.text")
    (tmp_path / "text").write_text("LOW MID HIGH\nHIGH LOW\nMID\n")
    given = (
        "--model",
        trained / "model.safetensors",
        "--data-dir",
        tone_corpus / "valid",
        "--lm",
        tmp_path / "lm.arpa",
    )
    assert audioroto("lm", "--text", tmp_path / "text", "--order", 2, "--out", tmp_path / "lm.arpa").returncode == 0
    done = audioroto("tune", *given, "--out", tmp_path / "search.toml", "--num-trials", 3, "--real-time-factor", 9)
    assert done.returncode == 0, done.stderr
    assert "WER" in done.stdout
    assert "AUC" in done.stdout
    chosen = ("--modes", "ctc_greedy,ctc_beam", "--config", tmp_path / "search.toml", "--out-dir", tmp_path)
    done = audioroto("recognize", *given, *chosen)
    assert done.returncode == 0, done.stderr
    facts = json.loads((tmp_path / "ctc_beam" / "recognition.json").read_text())
    assert facts["lm"] == "lm.arpa"
    tuned = tomllib.loads((tmp_path / "search.toml").read_text())["search"]
    assert tuned == {"mode": "ctc_beam", **facts["settings"]}


def test_the_verbs_from_data_to_score(trained, tone_corpus, tmp_path):
    model = trained / "model.safetensors"
    done = audioroto(
        "recognize", "--model", model, "--data-dir", tone_corpus / "valid", "--out-dir", tmp_path, "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    done = audioroto("score", tone_corpus / "valid" / "text", tmp_path / "ctc_greedy" / "text")
    assert done.returncode == 0, done.stderr
    assert "%WER" in done.stdout
    assert "parameters" in audioroto("show", "model", model).stdout
    assert "train.seed" in audioroto("show", "config").stdout
    assert "48" in audioroto("show", "data", tone_corpus / "train").stdout
