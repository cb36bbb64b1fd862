"""Speech that is still coming in: where an utterance begins, and the pause that ends it."""

import itertools

import numpy as np

from audioroto.audio.segment import FRAME_SECONDS, MAX_SECONDS, AudioSegment, compute_levels, find_cut, find_speech

PAUSE_SECONDS = 0.6  # of quiet that end an utterance

_STEP_FRAMES = 4  # after which it is looked whether one has ended
_PAD_SECONDS = 0.3  # of quiet that are kept at each side of it


class Endpointer:
    """Takes samples as they come; gives utterances when a pause has ended them.

    One without such a pause for `max_seconds` is cut as `iter_segments` cuts: in a shorter pause, or where it is
    quietest, and then the next begins before its end. What is speech is judged by the last 36 s. Times count from the
    first sample; what is neither speech nor close to it is forgotten. How the samples are divided changes nothing.
    """

    def __init__(self, rate: int, *, gate_decibels: float = -60.0, max_seconds: float = 15.0) -> None:
        self.rate = rate
        self.gate_decibels = gate_decibels
        self.max_seconds = max_seconds
        self._frame_samples = round(FRAME_SECONDS * rate)
        self._rest = np.zeros(0, np.float32)  # what came since the last whole step
        self._held, self._start = np.zeros(0, np.float32), 0  # samples, and the place of the first, on a frame's edge
        self._levels = np.zeros(0)  # of the frames that are held, and of earlier ones

    def add(self, samples: np.ndarray) -> list[AudioSegment]:
        """The utterances that have ended with these samples, (S,) float32 in [−1, 1]."""
        self._rest = np.concatenate([self._rest, samples])
        step = _STEP_FRAMES * self._frame_samples
        steps, self._rest = np.split(self._rest, [len(self._rest) // step * step])
        return [utterance for block in steps.reshape(-1, step) for utterance in self._step(block)]

    def finish(self) -> list[AudioSegment]:
        """The utterance that was going on when the last sample came, if any."""
        current = self.current
        self._held = self._rest = self._held[:0]
        return [current] if current else []

    @property
    def current(self) -> AudioSegment | None:
        """The utterance that is going on, as far as it has come."""
        if not self._find_speech():
            return None
        return AudioSegment(self._start / self.rate, np.concatenate([self._held, self._rest]))

    @property
    def _num_frames(self) -> int:
        return len(self._held) // self._frame_samples

    def _step(self, block: np.ndarray) -> list[AudioSegment]:
        self._held = np.concatenate([self._held, block])
        self._levels = np.concatenate([self._levels, compute_levels(block, self.rate)])
        self._levels = self._levels[-max(self._num_frames, round(MAX_SECONDS / FRAME_SECONDS)) :]
        ended = self._end_at_pauses()
        if len(self._held) > self.max_seconds * self.rate:
            ended += self._cut()
        return ended

    def _end_at_pauses(self) -> list[AudioSegment]:
        pad, pause = (round(seconds / FRAME_SECONDS) for seconds in (_PAD_SECONDS, PAUSE_SECONDS))
        ended: list[AudioSegment] = []
        speech = self._find_speech()
        num_frames, origin = self._num_frames, self._start // self._frame_samples
        begin = max(0, (speech[0][0] if speech else num_frames) - pad)
        for (_, last), (first, _) in itertools.pairwise([*speech, (num_frames, num_frames)]):
            if first - last >= pause:
                held = self._held[begin * self._frame_samples : (last + pad) * self._frame_samples]
                ended.append(AudioSegment((origin + begin) * self._frame_samples / self.rate, held))
                begin = first - pad
        self._forget(begin)
        return ended

    def _cut(self) -> list[AudioSegment]:
        cut = find_cut(self._find_speech(), self._levels[-self._num_frames :])
        utterance = AudioSegment(
            self._start / self.rate, self._held[: cut.end * self._frame_samples], cut.next_start < cut.end
        )
        self._forget(cut.next_start)
        return [utterance] if cut.end else []

    def _find_speech(self) -> list[tuple[int, int]]:
        """Stretches of speech in what is held, in frames."""
        if not self._num_frames:
            return []
        past = len(self._levels) - self._num_frames
        found = find_speech(self._levels, self.gate_decibels)
        return [(max(0, first - past), last - past) for first, last in found if last > past]

    def _forget(self, num_frames: int) -> None:
        self._held = self._held[num_frames * self._frame_samples :]
        self._start += num_frames * self._frame_samples
