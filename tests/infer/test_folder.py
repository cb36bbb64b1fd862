import errno
import json
import os
from pathlib import Path

import pytest

from audioroto.errors import AudioError, UserError
from audioroto.files import write_text
from audioroto.infer import folder as folder_module
from audioroto.infer.folder import OutputFolder, transcribe_to_folder
from audioroto.infer.inputs import find_audio
from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript


class Listener:
    """Hears the content of a file; `heard` are the names of those it was given."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __call__(self, source: str) -> Transcript:
        self.heard.append(os.path.basename(source))
        text = Path(source).read_text()
        if text == "bad":
            raise AudioError(f"{source}: is bad;\nmend it")
        return Transcript((Segment(text, 0.0, 2.0, (Word(text, 0.0, 2.0, 1.0),), 0.0),), 2.0)


@pytest.fixture
def source(tmp_path) -> Path:
    for name, text in {"a/x.wav": "one", "a/x.mp3": "two", "y.flac": "three", "bad.wav": "bad"}.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "in"


def run(source: Path, formats: tuple[str, ...] = ("txt",), case: str = "model", model: str = "m", **options):
    listener = Listener()
    folder = OutputFolder(source.parent / "out", formats, case, {"model_sha256": model})
    return transcribe_to_folder(listener, find_audio([source]), folder, **options), listener.heard


def test_each_recording_has_its_file_and_a_bad_one_stops_no_other(source):
    done, _ = run(source, ("txt", "json"))
    out = source.parent / "out"
    assert {str(path.relative_to(out)): path.read_text() for path in out.rglob("*.txt")} == {
        "a/x.wav.txt": "one\n",
        "a/x.mp3.txt": "two\n",
        "y.txt": "three\n",
    }
    assert (done.num_transcribed, done.num_done_before, done.audio_seconds) == (3, 0, 6.0)
    assert [failure.endswith("is bad; mend it") for failure in done.failures] == [True]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["about"] == {"model_sha256": "m", "case": "model"}
    assert [file.get("outputs") for file in manifest["files"]] == [
        None,
        ["y.txt", "y.json"],
        ["a/x.mp3.txt", "a/x.mp3.json"],
        ["a/x.wav.txt", "a/x.wav.json"],
    ]


def test_a_second_run_does_only_what_is_not_finished(source):
    run(source, ("txt", "json"))
    assert run(source)[1] == ["bad.wav"]
    (source / "bad.wav").write_text("good now")
    (source / "y.flac").write_text("changed")
    (source.parent / "out" / "a" / "x.mp3.txt").unlink()
    done, heard = run(source)
    assert sorted(heard) == ["bad.wav", "x.mp3", "y.flac"]
    assert (done.num_transcribed, done.num_done_before, done.failures) == (3, 1, ())
    assert (source.parent / "out" / "y.txt").read_text() == "changed\n"


def test_another_recording_of_the_same_name_size_and_time_is_not_taken_for_it(tmp_path):
    for day in ("one", "two"):
        path = tmp_path / day / "001.wav"
        path.parent.mkdir()
        path.write_text(day)
        os.utime(path, (1e9, 1e9))
        done, heard = run(path.parent)
        assert (done.num_done_before, heard) == (0, ["001.wav"])
        assert (tmp_path / "out" / "001.txt").read_text() == f"{day}\n"
        assert run(path.parent)[0].num_done_before == 1


def test_standard_input_is_never_the_same_again_whatever_files_there_are(tmp_path, monkeypatch):
    (tmp_path / "-").write_text("a file called -")
    monkeypatch.chdir(tmp_path)
    folder = OutputFolder(tmp_path / "out", ("txt",), "model", {})
    for _ in range(2):
        done = transcribe_to_folder(lambda _: Transcript((), 1.0), find_audio(["-"]), folder)
        assert (done.num_transcribed, done.num_done_before) == (1, 0)


@pytest.mark.parametrize("change", [{"model": "n"}, {"case": "sentence"}, {"restart": True}, {"formats": ("json",)}])
def test_what_was_made_otherwise_is_made_again(source, change):
    run(source)
    assert len(run(source, **change)[1]) == 4
    (source.parent / "out" / ".audioroto" / "y.json").write_text('"damaged')
    assert run(source, **{**change, "restart": False})[1] == ["bad.wav", "y.flac"]


def test_a_recording_that_changes_while_it_is_heard_is_not_finished(source, monkeypatch):
    def hear_and_change(self: Listener, audio: str) -> Transcript:
        heard = hear(self, audio)
        if audio.endswith("y.flac"):
            Path(audio).write_text("changed meanwhile")
        return heard

    hear = Listener.__call__
    with monkeypatch.context() as patch:
        patch.setattr(Listener, "__call__", hear_and_change)
        run(source)
    assert (source.parent / "out" / "y.txt").read_text() == "three\n"
    assert run(source)[1] == ["bad.wav", "y.flac"]
    assert (source.parent / "out" / "y.txt").read_text() == "changed meanwhile\n"


def test_when_stopped_between_formats_nothing_of_it_counts_as_finished(source, monkeypatch):
    def stop_at_json(path: Path, text: str) -> None:
        if path.name == "y.json":
            raise KeyboardInterrupt
        write_text(path, text)

    run(source, ("txt", "json"))
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "write_text", stop_at_json)
        with pytest.raises(KeyboardInterrupt):
            run(source, ("txt", "json"), model="n")
    assert "y.flac" in run(source, ("txt", "json"))[1]


def test_when_stopped_what_is_finished_stays(source, monkeypatch):
    def stop(self: Listener, audio: str) -> Transcript:
        if self.heard == ["bad.wav", "y.flac"]:
            raise KeyboardInterrupt
        return hear(self, audio)

    hear = Listener.__call__
    with monkeypatch.context() as patch:
        patch.setattr(Listener, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            run(source)
    assert not (source.parent / "out" / "manifest.json").exists()
    done, heard = run(source)
    assert sorted(heard) == ["bad.wav", "x.mp3", "x.wav"]
    assert done.num_done_before == 1


def test_a_name_that_is_a_files_and_a_folders_ends_no_run(source):
    for name in ("y.txt/b.flac", "y.txt/c/d.flac", "z.flac"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("four")
    (source.parent / "out" / "z.txt").mkdir(parents=True)
    done, _ = run(source)
    assert (done.num_transcribed, len(done.failures)) == (3, 4)
    for name, failure in zip(("z.flac", "y.txt/b.flac", "y.txt/c/d.flac"), done.failures[1:], strict=True):
        assert failure.startswith(f"{source / name}: a name of its outputs")
    assert (source.parent / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("number", "stops"), [(errno.ENOSPC, UserError), (errno.ENAMETOOLONG, None), (errno.EACCES, PermissionError)]
)
def test_a_full_disk_ends_the_run_and_a_long_name_does_not(source, monkeypatch, number, stops):
    def refuse(path, _):
        if path.suffix == ".txt":
            raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(folder_module, "write_text", refuse)
    if stops:
        with pytest.raises(stops, match=r"no room|denied"):
            run(source)
    else:
        assert len(run(source)[0].failures) == 4
