"""Beam search with the attention decoder, over all utterances of a batch at once."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from audioroto.model.ctc import BLANK
from audioroto.model.decoder import Decoder, Past
from audioroto.search.fusion import WordFusion
from audioroto.search.hypothesis import Hypothesis
from audioroto.search.prefix_score import Prefixes, PrefixScorer
from audioroto.search.speaker import Speaker
from audioroto.text.tokenizer import END_ID

LONGEST_PATTERN = 16  # tokens of the longest pattern whose repetition is noticed
MOST_REPEATS = 8  # times that a pattern may be said again; then the hypothesis has to end
# Nats that words may still bring a hypothesis: their bonus, being likelier than looked ahead or than unheard.
MOST_GAINED = 10.0


def attention_beam(
    decoder: Decoder | Speaker,
    frames: Tensor,
    lengths: Tensor,
    *,
    beam_size: int = 8,
    length_bonus: float = 0.0,
    fusion: WordFusion | None = None,
) -> list[list[Hypothesis]]:
    """The hypotheses that the decoder finds best for encoder frames (B, T, D), T ≥ 1, lengths (B,); best first.

    The score is the log-probability of the tokens and of the end after them, plus `length_bonus` for each token, plus
    what the n-gram of `fusion` makes of the words. There is at least one hypothesis, none has more tokens than frames.
    Their times are left empty: the decoder knows none. The decoder must be in evaluation mode.
    """
    return run_beam(decoder, frames, lengths, beam_size, length_bonus, fusion=fusion)


@torch.inference_mode()
def run_beam(
    decoder: Decoder | Speaker,
    frames: Tensor,
    lengths: Tensor,
    beam_size: int,
    length_bonus: float,
    scorer: PrefixScorer | None = None,
    ctc_weight: float = 0.0,
    fusion: WordFusion | None = None,
) -> list[list[Hypothesis]]:
    """The loop of both beams: (1 − ctc_weight) · decoder + ctc_weight · CTC + length bonus + the words of `fusion`.

    A hypothesis ends when its end is among the `beam_size` best continuations of its utterance (so that a beam of 1 is
    greedy search); it has to end when it has as many tokens as frames, or only repeats itself. The search of an
    utterance stops when nothing that goes on can win, and from then on nothing is computed for it: log-probabilities
    only fall; what tokens that may still come can bring is counted.
    """
    found: list[list[Hypothesis]] = [[] for _ in lengths]
    searched = list(range(len(lengths)))  # the utterances whose search goes on
    most_gained = MOST_GAINED if fusion or isinstance(decoder, Speaker) else 0.0
    memory = decoder.listen(frames, lengths)
    past: Past | None = None
    prefixes = scorer.start(beam_size) if scorer else None
    fused = fusion.start(len(lengths), beam_size) if fusion else None
    beam, ended = _Beam.start(lengths, beam_size), _Ended.none(lengths, beam_size)
    for num_tokens in range(int(lengths.max()) + 1):
        log_probs, past = decoder.step(beam.last, memory, past)  # (B, N, V)
        decoded = beam.decoded[..., None] + log_probs.double()  # (B, N, V)
        scores = decoded + length_bonus * (num_tokens + 1)
        if scorer and prefixes:
            scores = scores + ctc_weight * (scorer.score(prefixes) - decoded)
        ends = (scores[..., END_ID] - length_bonus).where(beam.alive, -torch.inf)  # (B, N)
        goes_on = beam.alive & ~beam.repeats & (num_tokens < lengths)[:, None]
        scores = scores.where(goes_on[..., None], -torch.inf)
        scores[..., [BLANK, END_ID]] = -torch.inf
        if fusion and fused:
            ends = ends + fusion.end(fused).to(ends.device)
            scores = fusion.score(fused, scores)

        threshold = torch.cat([scores.flatten(1), ends], dim=1).topk(beam_size).values[:, -1:]
        ended = ended.add(beam.tokens, ends.where(ends >= threshold, -torch.inf), num_tokens)
        best, choices = scores.flatten(1).topk(beam_size)  # (B, N)
        to_gain = max(0.0, length_bonus) * (lengths - num_tokens - 1)[:, None] + most_gained
        can_win = (best + to_gain > ended.scores[:, :1]).any(dim=1, keepdim=True)
        alive = can_win & best.isfinite()
        decoded = decoded.flatten(1).gather(1, choices)  # (B, N)
        parents, tokens = choices // scores.shape[2], choices % scores.shape[2]
        unfinished = alive.any(dim=1)  # (B,)
        kept = None
        if not unfinished.all():
            for utterance, hypotheses, more in zip(searched, ended.as_hypotheses(), unfinished.tolist(), strict=True):
                if not more:
                    found[utterance] = hypotheses
            (kept,) = unfinished.nonzero(as_tuple=True)
            if not len(kept):
                break
            searched = [searched[place] for place in kept.tolist()]
            beam, ended, memory, lengths = _select(beam, kept), _select(ended, kept), memory.select(kept), lengths[kept]
            alive, decoded, parents, tokens = alive[kept], decoded[kept], parents[kept], tokens[kept]
            if scorer and prefixes:
                scorer, prefixes = scorer.select(kept), _select(prefixes, kept)
            fused = fused.select(kept) if fused else None
        beam = beam.extend(parents, tokens, decoded, alive)
        past = past.choose(parents, kept)
        prefixes = scorer.extend(prefixes, parents, tokens) if scorer and prefixes else None
        fused = fusion.extend(fused, parents, tokens) if fusion and fused else None
    if fusion:
        return [[replace(hypothesis, tokens=fusion.cut(hypothesis.tokens)) for hypothesis in row] for row in found]
    return found


_State = TypeVar("_State", "_Beam", "_Ended", Prefixes)


def _select(state: _State, utterances: Tensor) -> _State:
    """What `state`, of tensors (B, …) alone, holds of `utterances` (B',)."""
    return type(state)(*(getattr(state, field.name)[utterances] for field in fields(state)))


@dataclass(frozen=True)
class _Beam:
    """Hypotheses that go on, N for each utterance."""

    tokens: Tensor  # (B, N, U)
    last: Tensor  # (B, N) the last token; END_ID at the start
    decoded: Tensor  # (B, N) float64, score by the decoder alone
    alive: Tensor  # (B, N) False: only fills the place
    recent: Tensor  # (B, N, P) the last tokens, newest first
    num_same: Tensor  # (B, N, P) how many of the newest tokens, in a row, equal the one p + 1 before them

    @classmethod
    def start(cls, lengths: Tensor, beam_size: int) -> "_Beam":
        last = lengths.new_full((len(lengths), beam_size), END_ID)
        recent = lengths.new_full((*last.shape, LONGEST_PATTERN), -1)
        alive = torch.zeros_like(last, dtype=torch.bool)
        alive[:, 0] = True
        return cls(recent[..., :0], last, torch.zeros_like(last, dtype=torch.float64), alive, recent, recent * 0)

    @property
    def repeats(self) -> Tensor:
        """Whether a pattern of some length was said, and then said again MOST_REPEATS times, (B, N)."""
        periods = torch.arange(1, LONGEST_PATTERN + 1, device=self.num_same.device)
        return (self.num_same >= MOST_REPEATS * periods).any(dim=-1)

    def extend(self, parents: Tensor, tokens: Tensor, decoded: Tensor, alive: Tensor) -> "_Beam":
        """The hypotheses `parents` (B, N), each with its token of `tokens` (B, N) after it."""
        utterances = torch.arange(len(parents), device=parents.device)[:, None]
        added = tokens[..., None]
        recent = self.recent[utterances, parents]
        num_same = (self.num_same[utterances, parents] + 1) * (recent == added)
        return _Beam(
            tokens=torch.cat([self.tokens[utterances, parents], added], dim=-1),
            last=tokens,
            decoded=decoded,
            alive=alive,
            recent=torch.cat([added, recent[..., :-1]], dim=-1),
            num_same=num_same,
        )


@dataclass(frozen=True)
class _Ended:
    """The best hypotheses that have ended, N for each utterance, best first; −inf where there is none yet."""

    scores: Tensor  # (B, N)
    tokens: Tensor  # (B, N, U)
    num_tokens: Tensor  # (B, N)

    @classmethod
    def none(cls, lengths: Tensor, beam_size: int) -> "_Ended":
        num_tokens = lengths.new_zeros(len(lengths), beam_size)
        return cls(num_tokens.double() - torch.inf, num_tokens.new_zeros(*num_tokens.shape, 0), num_tokens)

    def add(self, tokens: Tensor, scores: Tensor, num_tokens: int) -> "_Ended":
        """The best of these and of `tokens` (B, N, num_tokens) with `scores` (B, N), −inf where one has not ended."""
        size = scores.shape[1]
        best, choices = torch.cat([self.scores, scores], dim=1).topk(size)  # (B, N)
        longer = functional.pad(self.tokens, (0, num_tokens - self.tokens.shape[2]))
        utterances = torch.arange(len(scores), device=scores.device)[:, None]
        return _Ended(
            scores=best,
            tokens=torch.cat([longer, tokens], dim=1)[utterances, choices],
            num_tokens=torch.cat([self.num_tokens, torch.full_like(self.num_tokens, num_tokens)], 1)[
                utterances, choices
            ],
        )

    def as_hypotheses(self) -> list[list[Hypothesis]]:
        found = zip(self.scores.tolist(), self.tokens.tolist(), self.num_tokens.tolist(), strict=True)
        return [
            [
                Hypothesis(tokens=tuple(row[:number]), score=score)
                for score, row, number in zip(*utterance, strict=True)
                if score > -torch.inf
            ]
            for utterance in found
        ]
