"""Connectionist temporal classification: the head, its loss, and how far two views of an utterance agree."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.masks import valid_frames

BLANK = 0


class CtcHead(nn.Module):
    """One linear layer from encoder frames to log-probabilities of tokens; id 0 is the blank (Graves et al. 2006)."""

    def __init__(self, width: int, vocab_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, vocab_size)
        nn.init.zeros_(self.project.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (B, T, D) → log-probabilities (B, T, V), float32."""
        return functional.log_softmax(self.project(frames).float(), dim=-1)


def ctc_loss(log_probs: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor) -> Tensor:
    """Sum over the batch of −log P(tokens | frames), a scalar.

    `log_probs` (B, T, V), `lengths` (B,), `tokens` (B, U) without blanks, `token_lengths` (B,). An utterance with fewer
    frames than its labels and their repeats need has no alignment; it adds nothing and has no gradient.
    """
    return functional.ctc_loss(
        log_probs.transpose(0, 1), tokens, lengths, token_lengths, blank=BLANK, reduction="sum", zero_infinity=True
    )


def consistency_loss(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """How far apart the frames' distributions are in two views of the same utterances (CR-CTC, arXiv 2410.05101).

    `log_probs` (2B, T, V) and `lengths` (2B,) hold the B utterances of one view, then the same of the other. Half the
    sum over real frames of the divergences KL(a ‖ b) + KL(b ‖ a), in nats, a scalar; each view learns from the other,
    whose gradient is stopped.
    """
    others = torch.cat(log_probs.chunk(2)[::-1]).detach()  # (2B, T, V)
    divergences = functional.kl_div(log_probs, others, reduction="none", log_target=True).sum(dim=-1)  # (2B, T)
    return divergences.where(valid_frames(lengths, log_probs.shape[1]), 0.0).sum() / 2
