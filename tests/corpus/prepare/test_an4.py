from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.corpus.datadir import read_datadir, read_table
from audioroto.corpus.prepare.an4 import choose_valid_speakers, prepare_an4
from audioroto.errors import UserError

TRAIN_SPEAKERS = ["fash", "fbbh", "mblb", "mcel", "mdcs", "mdcs2"]


def make_cmu(folder: Path, suffix: str = "wav") -> Path:
    (folder / "etc").mkdir(parents=True)
    for split, audio_folder, speakers in (("train", "an4_clstk", TRAIN_SPEAKERS), ("test", "an4test_clstk", ["miry"])):
        lines = []
        for speaker in speakers:
            audio = folder / "wav" / audio_folder / speaker / f"an7-{speaker}-b.{suffix}"
            audio.parent.mkdir(parents=True)
            write_audio(audio)
            text = "RUBOUT G M  E"
            lines.append(f"<s> {text} </s> (an7-{speaker}-b)" if split == "train" else f"{text} (an7-{speaker}-b)")
        (folder / "etc" / f"an4_{split}.transcription").write_text("\n".join(lines) + "\n")
    return folder


def make_shared(folder: Path) -> Path:
    for split, speakers in (("train", TRAIN_SPEAKERS), ("test", ["miry"])):
        rows = []
        for speaker in speakers:
            audio = folder / split / speaker / f"an7-{speaker}-b.wav"
            audio.parent.mkdir(parents=True)
            write_audio(audio)
            rows.append(f"{speaker}/{audio.name}\t{speaker}\t0.25\tRUBOUT G M E\n")
        (folder / split / "transcripts.tsv").write_text("".join(rows))
    return folder


def write_audio(path: Path) -> None:
    if path.suffix == ".raw":
        path.write_bytes(bytes(8000))
        return
    container = "NIST" if path.suffix == ".sph" else None
    soundfile.write(path, np.full(4000, 0.1, dtype=np.float32), 16000, format=container, subtype="PCM_16")


@pytest.mark.parametrize("layout", ["cmu-wav", "cmu-sph", "shared"])
def test_both_layouts_give_the_same(tmp_path: Path, layout: str) -> None:
    corpus = make_shared(tmp_path / "an4") if layout == "shared" else make_cmu(tmp_path / "an4", layout[4:])
    summaries = prepare_an4(corpus, tmp_path / "out", num_valid_speakers=2)
    counts = {split: (summary.utterances, summary.speakers, summary.words) for split, summary in summaries.items()}
    assert counts == {"train": (4, 4, 16), "valid": (2, 2, 8), "test": (1, 1, 4)}
    utterance = read_datadir(tmp_path / "out" / "test")[0]
    assert (utterance.id, utterance.speaker, utterance.text) == ("miry-an7-b", "miry", "RUBOUT G M E")
    train, valid = (set(read_table(tmp_path / "out" / split / "spk2utt")) for split in ("train", "valid"))
    assert not train & valid
    assert train | valid == set(TRAIN_SPEAKERS)


def test_no_valid_speakers_no_valid_split(tmp_path: Path) -> None:
    assert set(prepare_an4(make_cmu(tmp_path / "an4"), tmp_path / "out", 0)) == {"train", "test"}


def test_raw_audio_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"an7-fash-b\.raw has no header.*an4_sphere"):
        prepare_an4(make_cmu(tmp_path / "an4", "raw"), tmp_path / "out")


def test_what_is_not_an4_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not AN4"):
        prepare_an4(tmp_path, tmp_path / "out")
    corpus = make_cmu(tmp_path / "an4")
    with open(corpus / "etc" / "an4_test.transcription", "a") as transcripts:
        transcripts.write("NO ID\n")
    with pytest.raises(UserError, match=r"an4_test.transcription line 2: expected"):
        prepare_an4(corpus, tmp_path / "out")


@pytest.mark.parametrize("num_valid", [0, 1, 2, 8, 20])
def test_valid_speakers_are_spread_over_both_sexes_and_have_no_twin(num_valid: int) -> None:
    speakers = [f"f{index:02d}x" for index in range(10)] + [f"m{index:02d}x" for index in range(30)] + ["mxyz", "mxyz2"]
    chosen = choose_valid_speakers(reversed(speakers), num_valid)
    assert len(set(chosen)) == num_valid
    assert sum(name.startswith("f") for name in chosen) == round(num_valid / 4)
    assert not {"mxyz", "mxyz2"} & set(chosen)
    assert chosen == choose_valid_speakers(speakers, num_valid)


def test_transcripts_in_another_encoding_are_refused(tmp_path: Path) -> None:
    corpus = make_shared(tmp_path / "an4")
    with open(corpus / "train" / "transcripts.tsv", "ab") as transcripts:
        transcripts.write(b"\xe9\n")
    with pytest.raises(UserError, match="not UTF-8 text"):
        prepare_an4(corpus, tmp_path / "out", num_valid_speakers=2)


def test_too_many_valid_speakers() -> None:
    with pytest.raises(UserError, match="cannot hold out 2 of 2"):
        choose_valid_speakers(["fa", "mb"], 2)
    with pytest.raises(UserError, match="hold out fewer"):
        choose_valid_speakers(["mdcs", "mdcs2"], 1)


def test_real_corpus(speech_dir: Path, tmp_path: Path) -> None:
    summaries = prepare_an4(speech_dir / "an4", tmp_path)
    assert summaries["train"].utterances + summaries["valid"].utterances == 948
    assert summaries["train"].speakers == 66
    assert summaries["valid"].speakers == 8
    assert (summaries["test"].utterances, summaries["test"].speakers) == (130, 10)
    valid = read_table(tmp_path / "valid" / "spk2utt")
    assert {speaker[0] for speaker in valid} == {"f", "m"}
    assert not set(valid) & set(read_table(tmp_path / "test" / "spk2utt"))
