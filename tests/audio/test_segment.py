import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.audio.load import load_audio
from audioroto.audio.segment import (
    MAX_SECONDS,
    OVERLAP_SECONDS,
    STEP_SECONDS,
    compute_levels,
    find_speech,
    iter_segments,
)
from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.prepare.librispeech import prepare_librispeech

RATE = 2000
FRAME = 50  # samples of 25 ms


def make_bursts(spans, seconds, seed=0, noise_decibels=-50.0):
    """Noise as loud as syllables by turns, at `spans` (start, end) in seconds; soft noise everywhere."""
    generator = np.random.default_rng(seed)
    samples = 10 ** (noise_decibels / 20) * generator.standard_normal(round(seconds * RATE))
    for start, end in spans:
        times = np.arange(round(start * RATE), round(end * RATE))
        syllables = 10 ** ((-20 + 8 * np.cos(2 * np.pi * 4 * (times / RATE - start))) / 20)
        samples[times] += syllables * generator.standard_normal(len(times))
    return samples.astype(np.float32)


def as_rows(segments):
    return [(segment.start_seconds, len(segment.samples), segment.is_cut) for segment in segments]


@st.composite
def recordings(draw):
    """Bursts of 0.5 to 60 s with pauses of 0.1 to 50 s between them, (S,), and where the bursts lie."""
    spans, time = [], draw(st.floats(0.0, 50.0))
    for _ in range(draw(st.integers(1, 8))):
        end = time + draw(st.floats(0.5, 20.0) | st.floats(20.0, 60.0))
        spans.append((time, end))
        time = end + draw(st.floats(0.1, 1.0) | st.floats(1.0, 50.0))
    return make_bursts(spans, time, draw(st.integers(0, 9))), spans


@settings(max_examples=25)
@given(recordings(), st.floats(0.05, 90.0))
def test_all_speech_is_in_segments_and_they_are_cut_in_pauses(recording, block_seconds):
    samples, spans = recording
    segments = list(iter_segments([samples], RATE))
    covered = np.zeros(len(samples), int)
    for segment in segments:
        start = round(segment.start_seconds * RATE)
        np.testing.assert_array_equal(segment.samples, samples[start : start + len(segment.samples)])
        covered[start : start + len(segment.samples)] += 1
        assert len(segment.samples) <= MAX_SECONDS * RATE
    for start, end in spans:
        assert covered[round(start * RATE) : round(end * RATE)].all()
    for left, right in itertools.pairwise(segments):
        end = left.start_seconds + len(left.samples) / RATE
        in_speech = any(
            start + 0.05 < place < stop - 0.05 for start, stop in spans for place in (end, right.start_seconds)
        )
        assert left.is_cut == (right.start_seconds < end - 1e-6)
        assert left.is_cut or not in_speech
        if left.is_cut:
            assert 0.0 <= round(end - right.start_seconds - OVERLAP_SECONDS, 6) < STEP_SECONDS
            steps = (right.start_seconds - left.start_seconds) / 0.08
            assert steps == pytest.approx(round(steps))  # whole frames of any encoder
            assert not any(
                left.start_seconds + 0.5 < pause < left.start_seconds + MAX_SECONDS for pause in pauses_of(spans)
            )
    assert covered.max(initial=0) <= 2
    blocks = np.array_split(samples, max(1, round(len(samples) / RATE / block_seconds)))
    assert as_rows(iter_segments(blocks, RATE)) == as_rows(segments)


def pauses_of(spans):
    """Middles of the pauses that are surely seen as such."""
    pairs = itertools.pairwise(spans)
    return [(left[1] + right[0]) / 2 for left, right in pairs if right[0] - left[1] > 0.5]


@given(st.floats(0.2, 36.0), st.floats(0.0, 1.0))
def test_what_is_not_too_long_stays_whole(seconds, place):
    start = place * max(0.0, seconds - 0.2)
    samples = make_bursts([(start, min(start + 3.0, seconds))], seconds)[: round(seconds * RATE)]
    (segment,) = iter_segments(np.array_split(samples, 3), RATE)
    assert (segment.start_seconds, len(segment.samples), segment.is_cut) == (0.0, len(samples), False)


def test_long_silence_is_left_out():
    samples = make_bursts([(30.0, 33.0), (200.0, 210.0), (211.0, 220.0)], 400.0)
    segments = list(iter_segments([samples], RATE))
    assert sum(len(segment.samples) for segment in segments) / RATE < 80.0
    assert segments[0].start_seconds == pytest.approx(29.0, abs=0.1)


@pytest.mark.parametrize("seconds", [5.0, 100.0])
@pytest.mark.parametrize("what", ["zeros", "noise", "hum", "clicks", "faint"])
def test_what_is_no_speech_is_left_out(what, seconds):
    times = np.arange(round(seconds * RATE)) / RATE
    samples = {
        "zeros": np.zeros(len(times)),
        "noise": 0.1 * np.random.default_rng(0).standard_normal(len(times)),
        "hum": 0.5 * np.sin(2 * np.pi * 50 * times),
        "clicks": np.where(times % 1.0 < 0.001, 0.9, 0.0),
        "faint": 0.001 * make_bursts([(1.0, 4.0)], seconds),
    }[what].astype(np.float32)
    assert list(iter_segments([samples], RATE)) == []
    opened = list(iter_segments([samples], RATE, gate_decibels=-200.0))
    assert sum(len(segment.samples) for segment in opened) >= (len(samples) if what != "faint" else RATE)


def mark(intervals, num_frames):
    marked = np.zeros(num_frames, bool)
    for start, end in intervals:
        marked[start:end] = True
    return marked


def mark_as_librosa(samples, rate, top_db):
    """The frames that librosa's splitter calls speech, pauses up to the hangover filled."""
    import librosa

    frame = round(0.025 * rate)
    intervals = librosa.effects.split(samples, top_db=top_db, frame_length=frame, hop_length=frame) // frame
    filled = [intervals[0]]
    for start, end in intervals[1:]:
        if start - filled[-1][1] < 12:
            filled[-1] = (filled[-1][0], end)
        else:
            filled.append((start, end))
    return mark(filled, -(-len(samples) // frame))


def test_bursts_are_found_where_librosa_finds_them():
    samples = make_bursts([(1.0, 3.0), (4.0, 4.6), (6.5, 11.0), (11.8, 14.0)], 16.0)
    levels = compute_levels(samples, RATE)
    ours = mark(find_speech(levels), len(levels))
    assert (ours == mark_as_librosa(samples, RATE, top_db=25)).mean() > 0.97


@pytest.fixture(scope="module")
def utterances(speech_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("test-clean")
    prepare_librispeech(speech_dir / "LibriSpeech", folder, ["test-clean"])
    return read_datadir(folder / "test-clean")


def test_no_voice_is_left_out(utterances):
    for utterance in utterances[::12]:
        samples, rate = load_audio(utterance.path)
        assert find_speech(compute_levels(samples, rate)), utterance.id


def test_speech_is_found_where_librosa_finds_it(utterances):
    parts = [part for u in utterances[:240:40] for part in (load_audio(u.path)[0][:80_000], np.zeros(24_000))]
    samples = np.concatenate(parts).astype(np.float32)
    samples += 1e-3 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    levels = compute_levels(samples, 16000)
    ours = mark(find_speech(levels), len(levels))
    assert (ours == mark_as_librosa(samples, 16000, top_db=38)).mean() > 0.9


@given(st.lists(st.floats(-1.0, 1.0, width=32), min_size=1, max_size=900))
def test_levels_are_those_of_the_power(values):
    samples = np.array(values, np.float32)
    levels = compute_levels(samples, RATE)
    assert len(levels) == -(-len(samples) // FRAME)
    power = [
        np.sum(samples[place : place + FRAME].astype(float) ** 2) / FRAME for place in range(0, len(samples), FRAME)
    ]
    np.testing.assert_allclose(levels, [10 * np.log10(max(value, 1e-20)) for value in power], atol=1e-6)
