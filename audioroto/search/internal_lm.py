"""The decoder's own language model, taken off what it says where an n-gram knows better (arXiv 2011.01991)."""

from dataclasses import replace

import torch
from torch import Tensor

from audioroto.model.decoder import Decoder, Memory, Past


class WithoutInternalLm:
    """Stands in for a decoder in a beam search: log P(token | frames) − weight · log P(token | nothing heard).

    What it says to a single frame of zeros is what it has learned of its training texts alone.
    """

    def __init__(self, decoder: Decoder, weight: float) -> None:
        self.decoder = decoder
        self.weight = weight

    def listen(self, frames: Tensor, lengths: Tensor) -> Memory:
        """What all steps need of the encoder's frames (B, T, D), T ≥ 1, lengths (B,); then of the silence."""
        heard = self.decoder.listen(frames, lengths)
        silence = self.decoder.listen(*self.decoder.hear_nothing(len(frames)))
        return Memory(heard.keys_values + silence.keys_values, heard.allowed)

    def step(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """Tokens (B, N) → scores (B, N, V) of the token after each, as `Decoder.step`; the past is of both."""
        half = len(memory.keys_values) // 2
        silence = Memory(memory.keys_values[half:], torch.ones_like(memory.allowed[..., :1]))
        heard_past = replace(past, keys_values=past.keys_values[:half]) if past else None
        unheard_past = replace(past, keys_values=past.keys_values[half:]) if past else None
        heard, heard_past = self.decoder.step(tokens, Memory(memory.keys_values[:half], memory.allowed), heard_past)
        unheard, unheard_past = self.decoder.step(tokens, silence, unheard_past)
        both = replace(heard_past, keys_values=heard_past.keys_values + unheard_past.keys_values)
        return heard - self.weight * unheard, both
