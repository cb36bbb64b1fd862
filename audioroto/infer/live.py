"""Speech to words while it is being spoken: heard again every now and then, and for good when a pause has come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from audioroto.audio.endpoint import Endpointer
from audioroto.audio.segment import AudioSegment
from audioroto.infer.seam import join_all
from audioroto.infer.segment import Segment
from audioroto.infer.transcript import Transcript


@dataclass(frozen=True)
class Heard:
    """What an utterance says, as far as it has come; `is_final`: it has ended, and this is its text."""

    segment: Segment
    is_final: bool


class LiveTranscriber:
    """Takes samples (S,) at the model's `rate` as they come and gives the words of utterances.

    `recognize` gives a batch of waveforms their transcripts. The utterance that is going on is heard again, from its
    beginning, after every `interval_seconds` of audio.
    """

    def __init__(
        self,
        recognize: Callable[[Sequence[np.ndarray]], list[Transcript]],
        rate: int,
        *,
        gate_decibels: float = -60.0,
        interval_seconds: float = 0.5,
    ) -> None:
        self._recognize = recognize
        self._rate = rate
        self._endpointer = Endpointer(rate, gate_decibels=gate_decibels)
        self._interval_samples = interval_seconds * rate
        self._num_unheard = 0  # samples since the utterance that is going on was heard last
        self._shows_words = False  # of an utterance that is going on
        self._cut_seconds = 0.0  # earlier words of the utterance that is going on belong to the one before

    def add(self, samples: np.ndarray) -> list[Heard]:
        """What is new with these samples: utterances that have ended, then the one that is going on."""
        self._num_unheard += len(samples)
        ended = self._endpointer.add(samples)
        if not ended and self._num_unheard < self._interval_samples:
            return []
        self._num_unheard = 0
        current = self._endpointer.current
        return self._hear(ended, [current] if current else [])

    def finish(self) -> list[Heard]:
        """The utterance that was going on, if any, as one that has ended."""
        return self._hear(self._endpointer.finish(), [])

    def _hear(self, ended: list[AudioSegment], current: list[AudioSegment]) -> list[Heard]:
        stretches = [*ended, *current]
        transcripts = self._recognize([stretch.samples for stretch in stretches]) if stretches else []
        segments, end = [], 0.0
        for stretch, transcript in zip(stretches, transcripts, strict=True):
            if transcript.segments:
                segment = transcript.segments[0].shift(stretch.start_seconds)
                end = segment.end_seconds
            else:  # it says nothing, and takes no words from a neighbour that it overlaps
                start = max(stretch.start_seconds, end)
                segment = Segment("", start, stretch.start_seconds + transcript.seconds, (), 0.0)
            is_cut = stretch.is_cut and bool(transcript.segments)
            segments.append((_begin_at(self._cut_seconds, segment), is_cut))
        joined = list(join_all(segments))
        if joined:
            self._cut_seconds = joined[-1].start_seconds if current else joined[-1].end_seconds
        heard = []
        for place, segment in enumerate(joined):
            if segment.text or self._shows_words:
                heard.append(Heard(segment, is_final=place < len(ended)))
            self._shows_words = place >= len(ended) and bool(segment.text)
        if self._shows_words and not joined:  # what was taken for speech is none
            heard.append(Heard(Segment("", self._cut_seconds, self._cut_seconds, (), 0.0), is_final=True))
            self._shows_words = False
        return heard


def _begin_at(seconds: float, segment: Segment) -> Segment:
    """A segment without the words before a time."""
    words = tuple(word for word in segment.words if (word.start_seconds + word.end_seconds) / 2 >= seconds)
    text = segment.text if len(words) == len(segment.words) else " ".join(word.text for word in words)
    return replace(segment, words=words, text=text, start_seconds=max(seconds, segment.start_seconds))
