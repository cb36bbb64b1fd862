"""The decoder's own language model, taken off what it says where an n-gram knows better (arXiv 2011.01991)."""

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
        silence = self.decoder.listen(torch.zeros_like(frames[:, :1]), torch.ones_like(lengths))
        return Memory(heard.keys_values + silence.keys_values, heard.allowed)

    def __call__(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """Tokens (B, N, U) → scores (B, N, U, V) of the token after each, as `Decoder.forward`; the past is of both."""
        half = len(memory.keys_values) // 2
        silence = Memory(memory.keys_values[half:], torch.ones_like(memory.allowed[..., :1]))
        heard, heard_past = self.decoder(
            tokens, Memory(memory.keys_values[:half], memory.allowed), past and past[:half]
        )
        unheard, unheard_past = self.decoder(tokens, silence, past and past[half:])
        return heard - self.weight * unheard, heard_past + unheard_past
