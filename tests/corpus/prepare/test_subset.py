from pathlib import Path

import pytest

from audioroto.corpus.datadir import Utterance, read_datadir, write_datadir
from audioroto.corpus.prepare.subset import prepare_subset
from audioroto.errors import UserError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty utterances of four speakers, 30 to 50 seconds each: 0.44 hours."""
    utterances = [
        Utterance(f"s{n % 4}-{n:02d}", f"s{n % 4}", tmp_path / f"{n}.wav", 30.0 + n / 2, f"WORD {n}") for n in range(40)
    ]
    write_datadir(tmp_path / "train", utterances)
    return tmp_path / "train"


def test_it_has_at_most_the_hours_and_nearly_that(source, tmp_path):
    summary = prepare_subset(source, 0.25, tmp_path / "quarter")
    kept = read_datadir(tmp_path / "quarter")
    whole = {utterance.id: utterance for utterance in read_datadir(source)}
    assert 0.25 - 50 / 3600 < summary.hours <= 0.25
    assert summary.utterances == len(kept)
    assert summary.speakers == 4
    assert all(whole[utterance.id] == utterance for utterance in kept)


def test_a_smaller_one_lies_within_a_larger_one(source, tmp_path):
    for name, hours in {"small": 0.1, "large": 0.3}.items():
        prepare_subset(source, hours, tmp_path / name)
    small, large = ({utterance.id for utterance in read_datadir(tmp_path / name)} for name in ("small", "large"))
    assert small < large


@pytest.mark.parametrize(("hours", "said"), [(0.5, r"has 0\.4417 hours, not 0\.5"), (0.001, "not one utterance")])
def test_hours_that_are_not_there_are_refused(source, tmp_path, hours, said):
    with pytest.raises(UserError, match=said):
        prepare_subset(source, hours, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_it_takes_from_is_not_replaced(source, tmp_path):
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(UserError, match="give another --out"):
        prepare_subset(source, 0.25, tmp_path / "link")
    assert len(read_datadir(source)) == 40
