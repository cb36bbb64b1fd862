"""CTC prefix beam search, alone or together with a word n-gram and its lexicon."""

import heapq
import math
from operator import attrgetter

import numpy as np

from audioroto.search.hypothesis import Hypothesis
from audioroto.search.word_model import WordModel, WordState


def ctc_beam(
    log_probs: np.ndarray,
    *,
    beam_size: int,
    beam_threshold: float = math.inf,
    num_best: int = 1,
    words: WordModel | None = None,
    lm_weight: float = 0.0,
    word_bonus: float = 0.0,
    blank: int = 0,
) -> list[Hypothesis]:
    """The best texts, `num_best` at most, best first, of one utterance's log-probabilities (T, V) (Hannun et al. 2014).

    A text's score is log P(tokens), summed over all alignments; with a model of `words` it is that plus
    lm_weight · log P(words) + word_bonus · number of words, natural logarithms. After each frame the best `beam_size`
    prefixes are kept, as far as they are within `beam_threshold` of the best; a token that the frame alone, before
    words are counted, puts further below it is not tried. Exact when nothing is dropped.
    """
    beam = [_Prefix(None, -1, words.start() if words else None, 0.0)]
    beam[0].blank = 1.0
    log_scale = 0.0  # what the probabilities in the beam were divided by, to stay near 1
    for number, frame in enumerate(log_probs.astype(np.float64)):
        peak = float(frame.max())
        relative = np.exp(frame - peak).tolist()
        (likely,) = np.nonzero(frame >= peak - beam_threshold)
        likely = likely[np.argsort(-frame[likely], kind="stable")]
        choices = [(token, relative[token], float(frame[token]) - peak) for token in likely.tolist() if token != blank]

        active = list(beam)
        for prefix in beam:
            prefix.frame = number
        for prefix in beam:
            total = prefix.blank + prefix.token
            prefix.next_blank += total * relative[blank]
            if prefix.parent is not None:
                prefix.next_token += prefix.token * relative[prefix.last]
            least = beam[0].score - prefix.score - beam_threshold
            for token, probability, log_probability in choices:
                if log_probability < least:
                    break  # nor the tokens after it
                child = prefix.children.get(token) or prefix.extend(token, words, lm_weight, word_bonus)
                if child is None:
                    continue
                if child.frame != number:
                    child.frame = number
                    active.append(child)
                # A token that repeats the last one is a new one only after a blank.
                child.next_token += (prefix.blank if token == prefix.last else total) * probability
        beam, log_rise = _keep_best(active, beam_size, beam_threshold)
        log_scale += peak + log_rise

    ends = [(end, prefix) for prefix in beam if (end := _finish(prefix, words, lm_weight)) is not None]
    if not ends:  # all are within a word: leave that word out
        best = beam[0]
        while best.parent is not None and _finish(best, words, lm_weight) is None:
            best = best.parent
        return [Hypothesis(best.spell(), beam[0].score + log_scale)]
    found = [Hypothesis(prefix.spell(), end + log_scale) for end, prefix in ends]
    return heapq.nlargest(num_best, found, key=attrgetter("score"))


class _Prefix:
    """The beginning of a text: its probability given the frames so far, by how its alignments end."""

    __slots__ = (
        "blank", "bonus", "children", "frame", "last", "next_blank", "next_token", "parent", "score", "state", "token",
    )  # fmt: skip

    def __init__(self, parent: "_Prefix | None", last: int, state: WordState | None, bonus: float) -> None:
        self.parent = parent
        self.last = last  # its last token
        self.state = state
        self.bonus = bonus  # what the words add to its score
        self.children: dict[int, _Prefix] = {}
        self.blank = self.next_blank = 0.0  # P of the alignments that end in a blank; of those with one frame more
        self.token = self.next_token = 0.0  # P of the alignments that end in the last token
        self.score = bonus
        self.frame = -1  # number of the frame that has reached it

    def extend(self, token: int, words: WordModel | None, lm_weight: float, word_bonus: float) -> "_Prefix | None":
        """This prefix and one more token; None where no word allows it."""
        if words is None or self.state is None:
            child = _Prefix(self, token, None, 0.0)
        else:
            state = words.extend(self.state, token)
            if state is None:
                return None
            child = _Prefix(self, token, state, lm_weight * state.log_probability + word_bonus * state.num_words)
        self.children[token] = child
        return child

    def spell(self) -> tuple[int, ...]:
        """Its tokens."""
        tokens, prefix = [], self
        while prefix.parent is not None:
            tokens.append(prefix.last)
            prefix = prefix.parent
        return tuple(reversed(tokens))


def _keep_best(active: list[_Prefix], beam_size: int, beam_threshold: float) -> tuple[list[_Prefix], float]:
    """The best prefixes, best first, a frame further, with a greatest probability of 1; and log of what that took."""
    scale = max(prefix.next_blank + prefix.next_token for prefix in active)
    for prefix in active:
        prefix.blank, prefix.token = prefix.next_blank / scale, prefix.next_token / scale
        prefix.next_blank = prefix.next_token = 0.0
        total = prefix.blank + prefix.token
        prefix.score = math.log(total) + prefix.bonus if total else -math.inf
    active.sort(key=attrgetter("score"), reverse=True)
    least = active[0].score - beam_threshold
    size = min(beam_size, len(active))
    while active[size - 1].score < least or active[size - 1].score == -math.inf:
        size -= 1
    for prefix in active[size:]:
        prefix.blank = prefix.token = 0.0
        # Note: one that others in the beam come from must be found again, or it would come to be twice.
        if prefix.parent is not None and not prefix.children:
            del prefix.parent.children[prefix.last]
    return active[:size], math.log(scale)


def _finish(prefix: _Prefix, words: WordModel | None, lm_weight: float) -> float | None:
    """The score of a prefix as a whole text; None within a word."""
    if words is None or prefix.state is None:
        return prefix.score
    log_probability = words.finish(prefix.state)
    if log_probability is None:
        return None
    return prefix.score + lm_weight * (log_probability - prefix.state.log_probability)
