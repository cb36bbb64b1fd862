"""When each word of a known text is said."""

import math

import numpy as np

from audioroto.errors import UserError
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript
from audioroto.search.ctc_align import count_needed_frames
from audioroto.search.hypothesis import Hypothesis
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import UNKNOWN_ID


def align_text(recognizer: Recognizer, samples: np.ndarray, text: str) -> Transcript:
    """The words of `text` where samples (S,) at the model's rate say them: a segment for each line that has words.

    Words keep the spelling that they have in `text`, but in lines that the model's normaliser does not write word by
    word ($2 million), which get its words. A word that it leaves nothing of, such as a dash, is left out. A segment's
    score is the sum of the logarithms of its words' confidences. Raises UserError for a text without words, with a
    word that the model's tokens cannot write, or too long for the audio.
    """
    normalizer = recognizer.engine.config.text.normalizer
    lines = [words for line in text.splitlines() if (words := _normalize_words(line, normalizer))]
    if not lines:
        raise UserError("the text has no words to align: it must hold what the recording says")
    tokens = _encode(recognizer, [part for words in lines for _, parts in words for part in parts])
    seconds = len(samples) / recognizer.sample_rate
    (log_probs,) = recognizer.engine.encode([samples]).log_probs  # (T, V)
    if count_needed_frames(tokens) > len(log_probs):
        raise UserError(
            f"the text has {len(tokens)} tokens, more than can be said in {seconds:.1f} s of audio: "
            "is it the text of this recording?"
        )
    aligned = iter(recognizer.make_words(Hypothesis(tuple(tokens), 0.0), log_probs, seconds))
    segments = []
    for words in lines:
        timed = tuple(_join(spelling, [next(aligned) for _ in parts]) for spelling, parts in words)
        segments.append(
            Segment(
                text=" ".join(word.text for word in timed),
                start_seconds=timed[0].start_seconds,
                end_seconds=timed[-1].end_seconds,
                words=timed,
                score=sum(math.log(max(word.confidence, 1e-10)) for word in timed),
            )
        )
    return Transcript(tuple(segments), seconds)


def _normalize_words(line: str, normalizer: str) -> list[tuple[str, list[str]]]:
    """Each word as the line spells it with the one or more words that the normaliser makes of it."""
    whole = normalize(line, normalizer).split()
    words = [(word, parts) for word in line.split() if (parts := normalize(word, normalizer).split())]
    if [part for _, parts in words for part in parts] == whole:
        return words
    return [(word, [word]) for word in whole]


def _encode(recognizer: Recognizer, words: list[str]) -> list[int]:
    tokens: list[int] = []
    for word in words:
        pieces = recognizer.tokenizer.encode(word)
        if UNKNOWN_ID in pieces:
            raise UserError(f"the model has no tokens for '{word}': spell it with the letters of its training texts")
        tokens += pieces
    return tokens


def _join(spelling: str, parts: list[Word]) -> Word:
    """The word that the text spells in one, and the normaliser in several."""
    confidence = sum(part.confidence for part in parts) / len(parts)
    return Word(spelling, parts[0].start_seconds, parts[-1].end_seconds, confidence)
