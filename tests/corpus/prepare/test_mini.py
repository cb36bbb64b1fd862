"""The embedded corpus as it lies in git, how it becomes data directories, and how it is made."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.corpus.prepare import mini
from audioroto.errors import UserError

MINI = Path(__file__).parents[3] / "data" / "mini"
SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Utterance]]:
    """The committed corpus, prepared and read back."""
    out_dir = tmp_path_factory.mktemp("mini")
    summaries = mini.prepare_mini(out_dir, MINI)
    assert tuple(summaries) == SPLITS
    splits = {split: read_datadir(out_dir / split) for split in SPLITS}
    for split, utterances in splits.items():
        assert summaries[split].utterances == len(utterances)
    return splits


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A corpus of one training, one validation and one test utterance that a test may damage."""
    rows = [line.split("\t") for line in (MINI / "utterances.tsv").read_text().splitlines()]
    kept = [rows[0]] + [next(row for row in rows if row[0] == split) for split in SPLITS]
    for row in kept[1:]:
        (tmp_path / row[4]).parent.mkdir(parents=True)
        shutil.copy(MINI / row[4], tmp_path / row[4])
    (tmp_path / "utterances.tsv").write_text("".join("\t".join(row) + "\n" for row in kept))
    return tmp_path


def count_words(utterances: list[Utterance]) -> Counter[str]:
    return Counter(word for utterance in utterances for word in (utterance.text or "").split())


def test_is_small_enough_for_git() -> None:
    assert sum(file.stat().st_size for file in MINI.rglob("*") if file.is_file()) <= 3_000_000


def test_table_and_audio_folder_agree(prepared: dict[str, list[Utterance]]) -> None:
    listed = [utterance.path for utterances in prepared.values() for utterance in utterances]
    assert sorted(listed) == sorted(path for path in (MINI / "audio").rglob("*") if path.is_file())


def test_no_voice_and_no_sentence_in_two_splits(prepared: dict[str, list[Utterance]]) -> None:
    for one, other in combinations(SPLITS, 2):
        # The variant is the voice: us-m1 and gb-m1 would be one throat with two accents.
        variants = [{utterance.speaker.split("-")[1] for utterance in prepared[split]} for split in (one, other)]
        sentences = [{utterance.text for utterance in prepared[split]} for split in (one, other)]
        assert not variants[0] & variants[1]
        assert not sentences[0] & sentences[1]
    assert len({utterance.speaker for utterances in prepared.values() for utterance in utterances}) >= 14


def test_every_accent_of_valid_and_test_is_trained_on(prepared: dict[str, list[Utterance]]) -> None:
    accents = {split: {utterance.speaker.split("-")[0] for utterance in prepared[split]} for split in SPLITS}
    assert accents["valid"] | accents["test"] <= accents["train"]


def test_words_are_few_and_well_trained(prepared: dict[str, list[Utterance]]) -> None:
    words = {split: count_words(utterances) for split, utterances in prepared.items()}
    assert 25 <= len(words["train"]) <= 40
    assert min(words["train"].values()) >= 20
    assert set(words["valid"]) <= set(words["train"])
    assert set(words["test"]) == set(words["train"])
    assert words["test"].total() >= 400


def test_every_file_decodes_to_speech_of_the_listed_length(prepared: dict[str, list[Utterance]]) -> None:
    for utterance in (utterance for utterances in prepared.values() for utterance in utterances):
        samples, rate = soundfile.read(utterance.path, dtype="float32")
        assert (rate, samples.ndim) == (16000, 1)
        assert len(samples) / rate == pytest.approx(utterance.seconds, abs=0.001)
        assert 0.9 <= utterance.seconds <= 4.0
        level = 20 * np.log10(np.sqrt(np.mean(samples**2)))
        assert -38 < level < -20, utterance.id
        assert np.abs(samples).max() < 0.95, utterance.id
        # Speech comes and goes: its loudest tenth of frames stands out of its quietest.
        frames = samples[: len(samples) // 400 * 400].reshape(-1, 400)
        quiet, loud = np.percentile(np.sqrt(np.mean(frames**2, axis=1)), [10, 90])
        assert loud > 3 * quiet, utterance.id


def test_table_is_the_plan(prepared: dict[str, list[Utterance]]) -> None:
    planned = {(take.split, take.id, take.speaker, take.text) for take in mini.plan_takes()}
    listed = {(split, u.id, u.speaker, u.text) for split, utterances in prepared.items() for u in utterances}
    assert listed == planned


def test_readme_names_every_word_voice_and_count(prepared: dict[str, list[Utterance]]) -> None:
    readme = (MINI / "README.md").read_text(encoding="utf-8")
    words = count_words(prepared["train"])
    assert set(re.findall(r"\b[A-Z]{2,}\b", readme.split("## Words")[1].split("## ")[0])) == set(words)
    for split, utterances in prepared.items():
        speakers = {utterance.speaker for utterance in utterances}
        minutes = sum(utterance.seconds for utterance in utterances) / 60
        row = f"| {split} | {len(speakers)} | {len(utterances)} | {count_words(utterances).total()} | {minutes:.1f} |"
        assert row in readme
        for speaker in speakers:
            assert re.search(rf"\b{speaker}\b", readme)


@pytest.mark.parametrize(
    ("appended", "message"),
    [
        ("train\tx\n", "line 5: expected split id"),
        ("future\tx\ty\t1.0\taudio/x.opus\tONE\n", "line 5: expected split id"),
        ("train\tx\ty\tlong\taudio/x.opus\tONE\n", "line 5: expected split id"),
        ("train\tx\ty\t1.0\taudio/x.opus\tONE\n", "line 5: .*x.opus is missing"),
    ],
)
def test_a_damaged_corpus_is_refused(copy: Path, tmp_path: Path, appended: str, message: str) -> None:
    with (copy / "utterances.tsv").open("a") as table:
        table.write(appended)
    with pytest.raises(UserError, match=message):
        mini.prepare_mini(tmp_path / "out", copy)
    assert not (tmp_path / "out").exists()


def test_a_missing_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no utterances.tsv: .*--synthesise"):
        mini.prepare_mini(tmp_path / "out", tmp_path)
    (tmp_path / "utterances.tsv").write_text("id text\n")
    with pytest.raises(UserError, match="line 1: expected split id"):
        mini.prepare_mini(tmp_path / "out", tmp_path)


def test_synthesis_never_overwrites_a_corpus(copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*.*") if path.is_file()}
    with pytest.raises(UserError, match="already holds a corpus"):
        mini.synthesise_mini(copy)
    assert {path: path.read_bytes() for path in copy.rglob("*.*") if path.is_file()} == before


def test_synthesis_says_how_to_get_espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install espeak-ng"):
        mini.synthesise_mini(tmp_path / "mini")
    assert not (tmp_path / "mini").exists()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_synthesis_makes_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: dict[str, list[Utterance]]
) -> None:
    committed = {utterance.id: utterance for utterances in prepared.values() for utterance in utterances}
    takes = [next(take for take in mini.plan_takes() if take.split == split) for split in SPLITS]
    monkeypatch.setattr(mini, "plan_takes", lambda: takes)
    mini.synthesise_mini(tmp_path / "mini")
    mini.prepare_mini(tmp_path / "out", tmp_path / "mini")
    for take in takes:
        (made,) = read_datadir(tmp_path / "out" / take.split)
        assert replace(made, path=committed[made.id].path, seconds=0.0) == replace(committed[made.id], seconds=0.0)
        assert made.path == tmp_path / "mini" / take.path
        # Versions of espeak-ng differ a little in timing.
        assert made.seconds == pytest.approx(committed[made.id].seconds, rel=0.2)
        assert soundfile.info(made.path).subtype == "OPUS"


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_an_unknown_voice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mini, "SPEAKERS", {"train": ["us-m1", "gb-nobody"]})
    with pytest.raises(UserError, match="lacks the voices nobody"):
        mini.synthesise_mini(tmp_path / "mini")


def test_pink_noise_falls_by_three_decibels_an_octave() -> None:
    noise = mini._make_noise(160_000, pink=True, seed=1)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / 16000)
    octaves = [power[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (250, 500, 1000, 2000, 4000)]
    steps = 10 * np.log10(np.array(octaves[1:]) / octaves[:-1])
    assert np.all(np.abs(steps + 3.0) < 0.5)
    assert np.mean(noise**2) == pytest.approx(1.0, rel=1e-3)
