from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.prepare.kaldi import find_decoded_file, prepare_kaldi
from audioroto.errors import UserError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Sound files of one second: mono and stereo at 16 kHz, mono at 8 kHz, one with a space in its name."""
    layouts = {"mono.flac": (16000, 1), "two.wav": (16000, 2), "phone.wav": (8000, 1), "a b.flac": (16000, 1)}
    for name, (rate, channels) in layouts.items():
        soundfile.write(tmp_path / name, np.full((rate, channels), 0.1, dtype=np.float32), rate)
    return {name: tmp_path / name for name in layouts}


@pytest.mark.parametrize(
    "command",
    [
        "flac -c -d -s MONO",
        "flac -dcs MONO",
        "/usr/bin/flac --decode --stdout --silent MONO",
        "/opt/kaldi/tools/sph2pipe_v2.5/sph2pipe -f wav -p -c 1 MONO",
        "sph2pipe -f wav MONO",
        "sox MONO -t wav -",
        "sox -t flac MONO -r 16k -b 16 -c 1 -e signed-integer -t wav -",
        "cat MONO",
        "ffmpeg -hide_banner -loglevel error -i MONO -f wav -ar 16000 -ab 16 -ac 1 -acodec pcm_s16le -",
        "ffmpeg -i MONO -f wav pipe:1",
        "  flac   -c -d -s 'MONO' ",
    ],
)
def test_plain_decoders_are_replaced_by_their_file(files: dict[str, Path], command: str) -> None:
    assert find_decoded_file(command.replace("MONO", str(files["mono.flac"]))) == files["mono.flac"]


def test_quoted_names_with_spaces(files: dict[str, Path]) -> None:
    assert find_decoded_file(f"flac -c -d -s '{files['a b.flac']}'") == files["a b.flac"]
    assert find_decoded_file("cat some\\ where/a.wav") == Path("some where/a.wav")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "empty"),
        ("flac -c -d -s MONO | sox - -t wav -", "more than one"),
        ("cat MONO; rm -rf x", "more than one"),
        ("cat MONO>x", "more than one"),
        ("cat MONO&&true", "more than one"),
        ("cat $(find x)", "more than one"),
        ("cat $HOME/x.wav", "expand"),
        ("cat `ls`", "expand"),
        ("cat '", "quotation"),
        ("cat MONO TWO", "exactly one"),
        ("cat -", "exactly one"),
        ("gunzip -c MONO", "'gunzip' is not one of"),
        ("flac -s MONO", "expected flac"),
        ("flac -c -d --skip=100 MONO", "expected flac"),
        ("sph2pipe -f wav -p -c 2 MONO", "-c 2"),
        ("sph2pipe -f wav -p -c 1 TWO", "one of 2 channels"),
        ("sph2pipe -f wav -t 1:2 MONO", "-t may change"),
        ("sox MONO -t wav - speed 0.9", "effects change the sound .speed 0.9"),
        ("sox MONO -t wav - remix 1", "effects"),
        ("sox -v 0.5 MONO -t wav -", "-v may change"),
        ("sox -t raw MONO -t wav -", "-t raw"),
        ("sox MONO -r 8k -t wav -", "lowers the sampling rate to 8k"),
        ("sox MONO out.wav", "expected sox"),
        ("ffmpeg -ss 3 -i MONO -f wav -", "-ss may change"),
        ("ffmpeg -i MONO -af volume=2 -f wav -", "-af may change"),
        ("ffmpeg -i MONO -i TWO -f wav -", "-i is there twice"),
        ("ffmpeg -i MONO out.wav", "expected ffmpeg"),
        ("ffmpeg -i MONO -ar x -f wav -", "no number"),
    ],
)
def test_anything_more_is_refused(files: dict[str, Path], command: str, reason: str) -> None:
    command = command.replace("MONO", str(files["mono.flac"])).replace("TWO", str(files["two.wav"]))
    with pytest.raises(ValueError, match=reason):
        find_decoded_file(command)


def test_a_rate_below_ours_is_fine_where_the_file_has_no_more(files: dict[str, Path]) -> None:
    assert find_decoded_file(f"sox {files['phone.wav']} -r 8000 -t wav -") == files["phone.wav"]


def make_source(folder: Path, wav_scp: str, segments: str = "") -> Path:
    folder.mkdir()
    names = [line.split()[0] for line in (segments or wav_scp).splitlines()]
    (folder / "wav.scp").write_text(wav_scp)
    (folder / "text").write_text("".join(f"{name} HELLO\n" for name in names))
    (folder / "utt2spk").write_text("".join(f"{name} s\n" for name in names))
    if segments:
        (folder / "segments").write_text(segments)
    return folder


def test_a_data_directory_is_written_anew(files: dict[str, Path], tmp_path: Path) -> None:
    flac, two = files["mono.flac"], files["two.wav"]
    source = make_source(tmp_path / "train", f"s-1 flac -c -d -s {flac} |\ns-2 {two}\n")
    before = {file.name: file.read_bytes() for file in source.iterdir()}
    summaries = prepare_kaldi([source], tmp_path / "out")
    assert (summaries["train"].utterances, summaries["train"].words) == (2, 2)
    assert [utterance.path for utterance in read_datadir(tmp_path / "out" / "train")] == [flac, two]
    assert {file.name: file.read_bytes() for file in source.iterdir()} == before


def test_segments_are_kept(files: dict[str, Path], tmp_path: Path) -> None:
    wav_scp, segments = f"r flac -c -d -s {files['mono.flac']} |\n", "s-1 r 0 0.5\ns-2 r 0.5 -1\n"
    prepare_kaldi([make_source(tmp_path / "train", wav_scp, segments)], tmp_path / "out")
    spans = [
        (utterance.start_seconds, utterance.end_seconds, utterance.seconds)
        for utterance in read_datadir(tmp_path / "out" / "train")
    ]
    assert spans == [(0.0, 0.5, 0.5), (0.5, None, 0.5)]


def test_all_refused_commands_are_listed_and_none_is_run(files: dict[str, Path], tmp_path: Path) -> None:
    witness = tmp_path / "executed"
    source = make_source(tmp_path / "train", f"s-1 touch {witness} |\ns-2 cat {files['mono.flac']} |\ns-3 curl x |\n")
    with pytest.raises(UserError, match="2 commands do more than decode") as caught:
        prepare_kaldi([source], tmp_path / "out")
    assert "line 1: s-1" in str(caught.value)
    assert "line 3: s-3" in str(caught.value)
    assert not witness.exists()
    assert not (tmp_path / "out").exists()


def test_two_directories_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="same name"):
        prepare_kaldi([tmp_path / "a" / "train", tmp_path / "b" / "train"], tmp_path / "out")


def test_a_directory_is_not_replaced_by_its_own_copy(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/wav.scp").write_text(f"a-1 flac -c -d -s {files['mono.flac']} |\n")
    with pytest.raises(UserError, match="give another --out-dir"):
        prepare_kaldi([tmp_path / "train"], tmp_path)
    assert (tmp_path / "train/wav.scp").read_text().endswith("|\n")
