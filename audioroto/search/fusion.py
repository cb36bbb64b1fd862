"""Shallow fusion: a word n-gram has its say in a beam search over tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from audioroto.search.word_model import WordModel, WordState

ASKED_PER_HYPOTHESIS = 8  # continuations that the n-gram is asked about at once, for each place in the beam
WITHIN_A_WORD = -1e6  # added to a hypothesis that would end within a word: the last thing to choose


@dataclass
class Fused:
    """Where the hypotheses of each utterance stand among words, (B, N), and what the n-gram adds to their scores."""

    states: list[list[WordState]]
    bonus: Tensor  # (B, N) float64
    children: list[dict[tuple[int, int], WordState]] = field(default_factory=list)  # by hypothesis and token

    def select(self, utterances: Tensor) -> "Fused":
        """Those of `utterances` (B',)."""
        places = utterances.tolist()
        bonus = self.bonus[utterances.to(self.bonus.device)]
        return Fused([self.states[place] for place in places], bonus, [self.children[place] for place in places])


class WordFusion:
    """What a word n-gram adds to the scores of hypotheses: lm_weight · log P(words) + word_bonus · number of words.

    A word that is not yet whole counts as the most probable one that begins like it. What no word allows is ruled out.
    """

    def __init__(self, words: WordModel, lm_weight: float, word_bonus: float) -> None:
        self.words = words
        self.lm_weight = lm_weight
        self.word_bonus = word_bonus

    def start(self, num_utterances: int, num_hypotheses: int) -> Fused:
        """Empty hypotheses."""
        states = [[self.words.start()] * num_hypotheses for _ in range(num_utterances)]
        return Fused(states, torch.zeros(num_utterances, num_hypotheses, dtype=torch.float64))

    def score(self, fused: Fused, scores: Tensor) -> Tensor:
        """`scores` (B, N, V) of continuations with the n-gram's say; −inf where no word allows one.

        The best ASKED_PER_HYPOTHESIS · N of an utterance are asked about, judged by what the n-gram said of the words
        before; where fewer than N of them are allowed, the others in turn until there are N, so that the search never
        runs dry. What was not asked about is ruled out too. Keeps what was found for `extend`.
        """
        so_far = (scores + fused.bonus[..., None].to(scores.device)).flatten(1)  # (B, N · V)
        best, places = so_far.topk(min(ASKED_PER_HYPOTHESIS * scores.shape[1], so_far.shape[1]))
        bonus = torch.full(so_far.shape, -torch.inf, dtype=torch.float64)
        fused.children = []
        for row in range(len(so_far)):
            asked = zip(best[row].tolist(), places[row].tolist(), strict=True)
            children = self._ask(fused.states[row], asked, scores.shape[2])
            # Where the last of them is −inf there are no others: an utterance that has ended takes no time.
            if len(children) < len(fused.states[row]) and best[row, -1] > -torch.inf:
                ranked, order = so_far[row].sort(descending=True, stable=True)
                rest = zip(ranked.tolist(), order.tolist(), strict=True)
                children = self._ask(fused.states[row], rest, scores.shape[2], enough=len(fused.states[row]))
            for (hypothesis, token), state in children.items():
                bonus[row, hypothesis * scores.shape[2] + token] = self._weigh(state.log_probability, state)
            fused.children.append(children)
        return scores + bonus.view_as(scores).to(scores.device)

    def _ask(
        self,
        states: Sequence[WordState],
        continuations: Iterable[tuple[float, int]],
        num_tokens: int,
        enough: int | None = None,
    ) -> dict[tuple[int, int], WordState]:
        """Those of the continuations (score, hypothesis · V + token), best first, that words allow, `enough` or all."""
        children: dict[tuple[int, int], WordState] = {}
        for score, place in continuations:
            if score == -torch.inf or len(children) == enough:
                break
            hypothesis, token = divmod(place, num_tokens)
            state = self.words.extend(states[hypothesis], token)
            if state is not None:
                children[hypothesis, token] = state
        return children

    def end(self, fused: Fused) -> Tensor:
        """What the n-gram adds (B, N) where hypotheses end; within a word so little that any other end is better."""
        return torch.tensor([[self._end(state) for state in states] for states in fused.states], dtype=torch.float64)

    def extend(self, fused: Fused, parents: Tensor, tokens: Tensor) -> Fused:
        """The hypotheses `parents` (B, N), each with its token of `tokens` (B, N) after it.

        One that was ruled out stays where it was; its score is −inf.
        """
        states = [
            [children.get((parent, token), before[parent]) for parent, token in zip(*chosen, strict=True)]
            for before, children, chosen in zip(
                fused.states, fused.children, zip(parents.tolist(), tokens.tolist(), strict=True), strict=True
            )
        ]
        bonus = [[self._weigh(state.log_probability, state) for state in row] for row in states]
        return Fused(states, torch.tensor(bonus, dtype=torch.float64))

    def cut(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The longest beginning of these tokens that is made of whole words."""
        state: WordState | None = self.words.start()
        whole = 0
        for number, token in enumerate(tokens, 1):
            state = state and self.words.extend(state, token)
            if state is None:
                break
            if self.words.finish(state) is not None:
                whole = number
        return tuple(tokens[:whole])

    def _end(self, state: WordState) -> float:
        log_probability = self.words.finish(state)
        return WITHIN_A_WORD if log_probability is None else self._weigh(log_probability, state)

    def _weigh(self, log_probability: float, state: WordState) -> float:
        return self.lm_weight * log_probability + self.word_bonus * state.num_words
