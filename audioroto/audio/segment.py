"""Long audio to stretches of speech that a model can hear at once: an energy segmenter that works on a stream.

What is loud against the noise around it is speech; it goes on through pauses shorter than the hangover. Speech is only
ever cut in a pause, as long as there is one within the longest stretch.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

FRAME_SECONDS = 0.025
LOWEST_DECIBELS = -200.0  # level of digital silence; as a gate, one that is always open
MAX_SECONDS = 36.0  # of a segment; a recording no longer than this is one

_GOOD_SECONDS = (8.0, 20.0)  # where a segment is cut if there is any pause: models are trained on such lengths
OVERLAP_SECONDS = 12.0  # of segments that are cut inside speech: what an encoder with local heads needs around a frame
# Such segments begin so many times this apart, whole encoder frames of 40 or 80 ms: a model that hears the same speech
# in both sees it divided into the same frames, or it would say other words of it.
STEP_SECONDS = 0.4
_HANGOVER_SECONDS = 0.3  # of quiet that speech goes on through; a pause is longer
_PAD_SECONDS = 0.3  # of a pause that is kept at each side of it
_LONG_PAUSE_SECONDS = 2.0  # longer pauses are left out, however early they come
_MIN_SPEECH_SECONDS = 0.1  # of loud frames; less is a click
_MIN_RECORDING_SECONDS = 1.0  # what is shorter has no noise to be compared with
# A frame is loud this far above the quietest tenth of the frames around: a quarter of the way to the loud ones and at
# least 3 dB, by which steady noise and hum do not vary; and at most 40 dB below the loud ones.
_NOISE_PERCENTILE, _SPEECH_PERCENTILE = 10, 95
_RISE_SHARE, _MIN_RISE_DECIBELS, _RANGE_DECIBELS = 0.25, 3.0, 40.0


@dataclass(frozen=True)
class AudioSegment:
    """A stretch of speech, samples (S,). One that `is_cut` ends inside speech: the next begins before its end."""

    start_seconds: float
    samples: np.ndarray
    is_cut: bool = False


def iter_segments(
    blocks: Iterable[np.ndarray], rate: int, *, max_seconds: float = MAX_SECONDS, gate_decibels: float = -60.0
) -> Iterator[AudioSegment]:
    """The speech in blocks of samples (S,) in time order; what is not speech is left out, but for short pauses.

    A recording of up to `max_seconds` is one segment, whole, if there is any speech in it. A longer one is cut in
    pauses, after 8 to 20 s where it has any there. Speech without a pause for `max_seconds` is cut where it is
    quietest, and the pieces overlap by 12 s. With `gate_decibels` at −200 what has no speech in it counts as speech.
    No more than `max_seconds` and a block are held at a time, and how the audio is divided into blocks changes nothing.
    """
    frame_samples = round(FRAME_SECONDS * rate)
    max_frames = int(max_seconds / FRAME_SECONDS)
    held, start = np.zeros(0, np.float32), 0
    levels = np.zeros(0)  # of the whole frames of what is held
    for block in blocks:
        held = np.concatenate([held, block]) if held.size else block
        known, whole = len(levels) * frame_samples, len(held) // frame_samples * frame_samples
        levels = np.concatenate([levels, compute_levels(held[known:whole], rate)])
        while len(held) > max_frames * frame_samples:
            cut = find_cut(find_speech(levels[:max_frames], gate_decibels), levels[:max_frames])
            if cut.end:
                # A copy, so that a segment that is kept does not keep all that was held.
                yield AudioSegment(start / rate, held[: cut.end * frame_samples].copy(), cut.next_start < cut.end)
            held, levels = held[cut.next_start * frame_samples :], levels[cut.next_start :]
            start += cut.next_start * frame_samples
    if held.size and find_speech(compute_levels(held, rate), gate_decibels):
        yield AudioSegment(start / rate, held)


def compute_levels(samples: np.ndarray, rate: int) -> np.ndarray:
    """Level of each 25 ms of samples (S,), side by side, in decibels of full scale, at least −200: (N,)."""
    frame_samples = round(FRAME_SECONDS * rate)
    if len(samples) % frame_samples:
        samples = np.pad(samples, (0, -len(samples) % frame_samples))
    frames = samples.reshape(-1, frame_samples)  # (N, frame_samples)
    power = np.einsum("nf,nf->n", frames, frames, dtype=np.float64) / frame_samples  # (N,)
    return 10 * np.log10(np.maximum(power, 10 ** (LOWEST_DECIBELS / 10)))


def find_speech(levels: np.ndarray, gate_decibels: float = -60.0) -> list[tuple[int, int]]:
    """Stretches of speech as (first frame, frame after the last), without the pads around them.

    Nothing below the gate is speech, nor is steady noise, hum or a click; less than a second is speech if it is above
    the gate anywhere. With the gate at −200, levels (N,) without speech are all one stretch.
    """
    noise, speech = np.percentile(levels, (_NOISE_PERCENTILE, _SPEECH_PERCENTILE))
    rise = max(_MIN_RISE_DECIBELS, _RISE_SHARE * (speech - noise))
    (loud,) = np.nonzero(levels > max(gate_decibels, noise + rise, speech - _RANGE_DECIBELS))
    breaks = np.nonzero(np.diff(loud) > _HANGOVER_SECONDS / FRAME_SECONDS)[0] + 1
    stretches = np.split(loud, breaks)
    found = [
        (run[0].item(), run[-1].item() + 1) for run in stretches if len(run) * FRAME_SECONDS >= _MIN_SPEECH_SECONDS
    ]
    cannot_tell = len(levels) * FRAME_SECONDS < _MIN_RECORDING_SECONDS or gate_decibels <= LOWEST_DECIBELS
    if not found and cannot_tell and levels.max() >= gate_decibels:
        return [(0, len(levels))]
    return found


@dataclass(frozen=True)
class Cut:
    """Where the first segment ends, 0 if there is none, and where what comes after it begins; in frames."""

    end: int
    next_start: int


def find_cut(speech: list[tuple[int, int]], levels: np.ndarray) -> Cut:
    """The cut after the first segment of audio that goes on behind `levels`."""
    num_frames = len(levels)
    pad, long, hangover = (
        round(seconds / FRAME_SECONDS) for seconds in (_PAD_SECONDS, _LONG_PAUSE_SECONDS, _HANGOVER_SECONDS)
    )
    begin = speech[0][0] if speech else num_frames
    if begin > long:
        return Cut(0, begin - long // 2)
    pauses = [(left[1], right[0]) for left, right in itertools.pairwise(speech)]
    if num_frames - speech[-1][1] > hangover:
        pauses.append((speech[-1][1], num_frames))
    if not pauses:
        half, step = round(OVERLAP_SECONDS / 2 / FRAME_SECONDS), round(STEP_SECONDS / FRAME_SECONDS)
        half = min(half, num_frames // 6)
        first = num_frames // 2 + 2 * step  # so late that the segment after the next one begins behind this one's end
        place = _find_quietest(levels, first, num_frames - half)
        return Cut(place + half, (place - half) // step * step)
    shortest, longest = (seconds / FRAME_SECONDS for seconds in _GOOD_SECONDS)
    good = [pause for pause in pauses if pause[0] <= longest and (pause[0] >= shortest or pause[1] - pause[0] >= long)]
    late = [pause for pause in pauses if pause[0] > longest]
    first, last = max(good, key=lambda pause: pause[1] - pause[0]) if good else late[0] if late else pauses[-1]
    middle = (first + last) // 2
    return Cut(min(first + pad, middle), max(last - pad, middle))


def _find_quietest(levels: np.ndarray, first: int, last: int) -> int:
    """The frame in [first, last) around which an eighth of a second is quietest."""
    power = np.convolve(10 ** (levels / 10), np.ones(5), mode="same")
    return first + int(np.argmin(power[first:last]))
