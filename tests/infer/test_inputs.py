import errno
import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audioroto.audio.load import load_audio
from audioroto.errors import AudioError, UserError
from audioroto.infer.inputs import AudioInput, estimate_seconds, find_audio, name_outputs

ODD = ["with space.wav", 'it\'s "quoted".flac', "line\nbreak.mp3", "größe 音.m4a", os.fsdecode(b"caf\xe9.opus")]


@pytest.fixture
def tree(tmp_path, monkeypatch) -> Path:
    """A folder `in` that holds audio, other things and hidden ones; the current folder is above it."""
    names = ["b.wav", "a/b.FLAC", "a/c/d.mkv", "notes.txt", ".hidden.wav", ".git/e.wav", "z.ts"]
    for name in names + [f"odd/{name}" for name in ODD]:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    os.mkfifo(tmp_path / "in" / "pipe.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def names(arguments: list[object]) -> list[str]:
    return [audio.name for audio in find_audio(arguments)]


def test_a_folder_is_searched_to_its_depth_and_what_is_hidden_or_no_audio_is_left(tree):
    expected = {"b.wav", "a/b.FLAC", "a/c/d.mkv", *(f"odd/{name}" for name in ODD)}
    found = find_audio([tree])
    assert {audio.name for audio in found} == expected
    assert all(os.path.isfile(audio.path) for audio in found)
    assert found == find_audio([str(tree)])
    assert names([tree, "in/b.wav"])[0].startswith("in/")  # several arguments: the folder's own name comes first


def test_files_and_patterns_keep_their_path_as_given(tree):
    assert names(["in/a/../b.wav"]) == ["in/b.wav"]
    assert names([tree / "a/b.FLAC", "./in/notes.txt", "missing.wav"]) == ["b.FLAC", "in/notes.txt", "missing.wav"]
    assert names(["in/**/*.[Fm][Lk]*"]) == ["in/a/b.FLAC", "in/a/c/d.mkv"]
    assert names([f"{tree}/*/b.*"]) == ["a/b.FLAC"]
    assert names([f"{tree.parent}/i?"])[:2] == ["in/b.wav", "in/a/b.FLAC"]


def test_a_file_that_has_a_pattern_for_its_name_is_that_file(tree):
    (tree / "song[1].wav").write_bytes(b"")
    assert [audio.path for audio in find_audio(["in/song[1].wav"])] == ["in/song[1].wav"]


def test_a_loop_of_links_brings_nothing_twice(tree):
    (tree / "a/loop").symlink_to(tree / "a")
    (tree / "a/same.flac").symlink_to(tree / "a/b.FLAC")
    assert sorted(names(["in/a/**/*.[Ff][Ll]*"])) == ["in/a/b.FLAC", "in/a/same.flac"]


def test_each_recording_comes_once_in_the_order_of_the_arguments(tree):
    found = [audio.path for audio in find_audio(["-", "in/b.wav", tree, "in/*.wav", "-", tree / "b.wav"])]
    assert found[:2] == ["-", "in/b.wav"]
    assert (
        len(found) == len({os.path.abspath(path) for path in found}) == 10
    )  # with the pipe, which the pattern matches


def test_a_folder_that_cannot_be_read_is_a_recording_that_fails(tree, monkeypatch):
    def refuse(path):
        if path == "in/a":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", refuse)
    found = find_audio(["in"])
    assert found[0].path == "in/b.wav"
    assert found[-1] == AudioInput("in/a", "a")
    with pytest.raises(AudioError, match=r"in/a: (cannot be read|is a folder)"):
        load_audio(found[-1].source)


@pytest.mark.parametrize("argument", ["in/nothing*", "empty"])
def test_what_stands_for_nothing_is_refused(tree, argument):
    os.mkdir("empty")
    with pytest.raises(UserError, match=r"(matches no file|holds no audio files); name files"):
        find_audio(["in/b.wav", argument])


def test_standard_input_is_read_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": io.BytesIO(b"abc")}))
    assert find_audio(["-"])[0].source.read() == b"abc"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AudioError, match="standard input is closed"):
        _ = find_audio(["-"])[0].source


NAMES = [f"{stem}{suffix}" for stem in ("a", "b", "a/b", "b/a", "a.wav") for suffix in ("", ".wav", ".mp3")]


@given(st.lists(st.sampled_from(NAMES), max_size=12))
def test_outputs_differ_and_keep_their_names_where_they_can(found):
    inputs = [AudioInput(f"/{place}/{name}", name) for place, name in enumerate(found)]
    outputs = name_outputs(inputs)
    assert len(set(outputs)) == len(outputs)
    stems = [os.path.splitext(name)[0] for name in found]
    for name, stem, output in zip(found, stems, outputs, strict=True):
        assert output.startswith(name if stems.count(stem) > 1 else stem)
        if stems.count(stem) == 1 and stem not in found:
            assert output == stem


def test_same_names_are_told_apart_and_the_manifest_is_left_alone():
    found = ["x.wav", "x.mp3", "y.wav", "x.mp3", "manifest.wav", "a/x.wav"]
    outputs = name_outputs([AudioInput(f"/{place}", name) for place, name in enumerate(found)])
    assert outputs == ["x.wav", "x.mp3", "y", "x.mp3-2", "manifest-2", "a/x"]


def test_lengths_come_from_headers_or_sizes_and_never_wait_for_a_pipe(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16000)
    (tmp_path / "b.m4a").write_bytes(bytes(32000))
    os.mkfifo(tmp_path / "c.wav")
    paths = [str(tmp_path / name) for name in ("a.wav", "b.m4a", "c.wav", "missing.wav")]
    assert estimate_seconds([AudioInput(path, "x") for path in paths]) == [0.5, 2.0, 0.0, 0.0]


def test_a_length_that_a_header_leaves_open_comes_from_the_size(tmp_path):
    """As in a FLAC file that was written to a pipe."""
    path = tmp_path / "open.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 60 * 16000), 16000)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the 36 bits that count samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert estimate_seconds(find_audio([path])) == [len(content) / 16000]
