import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.audio.endpoint import PAUSE_SECONDS, Endpointer

RATE = 8000


def make_speech(*spans: tuple[float, float], seconds: float) -> np.ndarray:
    """Quiet noise in which bursts, as irregular as syllables, begin and end at these seconds."""
    generator = np.random.default_rng(0)
    samples = 0.001 * generator.standard_normal(round(seconds * RATE))
    for begin, end in spans:
        time = np.arange(round(begin * RATE), round(end * RATE))
        samples[time] += 0.3 * np.abs(np.sin(2 * np.pi * 2.5 * time / RATE)) * generator.standard_normal(len(time))
    return samples.clip(-1, 1).astype(np.float32)


def run(samples: np.ndarray, block: int, **options):
    endpointer = Endpointer(RATE, **options)
    ended = []
    for start in range(0, len(samples), block):
        ended += [(start + block, part) for part in endpointer.add(samples[start : start + block])]
    return ended, endpointer


def test_an_utterance_ends_soon_after_its_pause_and_has_all_of_its_samples():
    samples = make_speech((1.0, 3.0), (4.5, 6.0), (7.5, 9.0), seconds=9.2)
    ended, endpointer = run(samples, 800)
    assert len(ended) == 2
    for (heard, part), (begin, end) in zip(ended, [(1.0, 3.0), (4.5, 6.0)], strict=True):
        first = round(part.start_seconds * RATE)
        assert np.array_equal(part.samples, samples[first : first + len(part.samples)])
        assert begin - 0.4 <= part.start_seconds <= begin
        assert end <= part.start_seconds + len(part.samples) / RATE <= end + 0.4
        assert heard / RATE <= end + PAUSE_SECONDS + 0.25
    assert endpointer.current is not None
    assert endpointer.current.start_seconds == pytest.approx(7.2, abs=0.1)
    (last,) = endpointer.finish()
    assert last.start_seconds == pytest.approx(7.2, abs=0.1)
    assert endpointer.current is None
    assert endpointer.finish() == []


@pytest.mark.parametrize("level", [0.0, 0.001, 0.1])
def test_silence_and_steady_noise_begin_no_utterance(level):
    samples = (level * np.random.default_rng(0).standard_normal(20 * RATE)).astype(np.float32)
    ended, endpointer = run(samples, 800)
    assert [part for heard, part in ended if heard > 2 * RATE] == []
    assert endpointer.current is None
    assert len(endpointer._held) < RATE


def test_speech_without_a_pause_is_cut_and_the_parts_overlap_or_meet():
    samples = make_speech((0.5, 40.0), seconds=41.5)
    ended, endpointer = run(samples, 800, max_seconds=10.0)
    parts = [part for _, part in ended]
    assert len(parts) >= 4
    assert endpointer.current is None
    for left, right in itertools.pairwise(parts):
        assert len(left.samples) <= 10.1 * RATE
        gap = right.start_seconds - (left.start_seconds + len(left.samples) / RATE)
        assert gap <= 1e-6
        assert left.is_cut == (gap < -1e-6)
    assert parts[0].start_seconds <= 0.5
    assert parts[-1].start_seconds + len(parts[-1].samples) / RATE >= 40.0


@given(block=st.integers(37, 4000))
@settings(max_examples=15)
def test_how_samples_are_divided_changes_nothing(block):
    samples = make_speech((1.0, 3.0), (4.5, 6.0), (7.0, 16.0), seconds=18.0)
    ended, _ = run(samples, block, max_seconds=5.0)
    expected, _ = run(samples, len(samples), max_seconds=5.0)
    assert len(expected) >= 4
    assert [part.start_seconds for _, part in ended] == [part.start_seconds for _, part in expected]
    assert all(np.array_equal(one.samples, other.samples) for (_, one), (_, other) in zip(ended, expected, strict=True))


def test_what_begins_softly_is_not_lost_where_it_is_cut():
    samples = make_speech((20.0, 24.0), (24.0, 49.0), seconds=51.0)
    samples[: 24 * RATE] *= 0.1
    ended, _ = run(samples, 800)
    parts = [part for _, part in ended]
    assert parts[0].start_seconds <= 20.0
    for left, right in itertools.pairwise(parts):
        assert right.start_seconds <= left.start_seconds + len(left.samples) / RATE
