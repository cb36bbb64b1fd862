"""The decoder as a beam search hears it: with a neural language model's say, and with less of its own."""

from dataclasses import replace

import torch
from torch import Tensor

from audioroto.model.decoder import Decoder, Memory, Past
from audioroto.model.language_model import LanguageModel


class Speaker:
    """Stands in for a decoder in a beam search, and says of a token

        log P(token | frames) + lm_weight · log P(token) by a language model − internal_weight · log P(token | nothing).

    What the decoder says to a single frame of zeros is the language model that it has become itself by learning its
    training texts; that is taken off where another knows better (arXiv 2011.01991).
    """

    def __init__(
        self,
        decoder: Decoder,
        internal_weight: float = 0.0,
        language_model: LanguageModel | None = None,
        lm_weight: float = 0.0,
    ) -> None:
        self.decoder = decoder
        self.internal_weight = internal_weight
        self.language_model = language_model if lm_weight else None
        self.lm_weight = lm_weight

    def listen(self, frames: Tensor, lengths: Tensor) -> Memory:
        """What all steps need of the encoder's frames (B, T, D), T ≥ 1, lengths (B,); then of the silence."""
        heard = self.decoder.listen(frames, lengths)
        silence = self.decoder.listen(*self.decoder.hear_nothing(len(frames)))
        return Memory(heard.keys_values + silence.keys_values, heard.allowed)

    def step(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """Tokens (B, N) → scores (B, N, V) of the token after each, as `Decoder.step`; the past is of all that speak.

        The scores are no probabilities, and may be above 0.
        """
        num_blocks = len(memory.keys_values) // 2
        heard = Memory(memory.keys_values[:num_blocks], memory.allowed)
        scores, present = self.decoder.step(tokens, heard, _part(past, 0, num_blocks))
        if self.internal_weight:
            silence = Memory(memory.keys_values[num_blocks:], torch.ones_like(memory.allowed[..., :1]))
            unheard, other = self.decoder.step(tokens, silence, _part(past, num_blocks, 2 * num_blocks))
            scores, present = scores - self.internal_weight * unheard, _join(present, other)
        if self.language_model:
            first = len(present.keys_values)
            expected, other = self.language_model.step(tokens, _part(past, first, None))
            scores, present = scores + self.lm_weight * expected, _join(present, other)
        return scores, present


def _part(past: Past | None, first: int, last: int | None) -> Past | None:
    """What the blocks from `first` to the one before `last` have said."""
    return replace(past, keys_values=past.keys_values[first:last]) if past else None


def _join(past: Past, other: Past) -> Past:
    return replace(past, keys_values=past.keys_values + other.keys_values)
