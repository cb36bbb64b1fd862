"""The attention decoder: the next token from the tokens so far and the encoder's frames."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.branch import Branch
from audioroto.nn.cross_attention import CrossAttention, KeysValues
from audioroto.nn.feedforward import FeedForward
from audioroto.nn.masks import valid_frames
from audioroto.nn.sinusoid import SinusoidalEmbedding
from audioroto.text.tokenizer import END_ID

KeysAndValues = tuple[Tensor, Tensor]
Past = tuple[KeysAndValues, ...]  # of the tokens so far, for each block, each (B·N, H, U, K)


@dataclass(frozen=True)
class Memory:
    """What the decoder hears: the frames' keys and values for each block, and which of the frames are real."""

    keys_values: tuple[KeysAndValues, ...]  # each (B, H, T, K)
    allowed: Tensor  # (B, 1, 1, T)

    def select(self, utterances: Tensor) -> "Memory":
        """What is heard of `utterances` (B',)."""
        kept = tuple((keys[utterances], values[utterances]) for keys, values in self.keys_values)
        return Memory(kept, self.allowed[utterances])


class DecoderBlock(nn.Module):
    """Attention to the tokens so far, attention to the frames, feed-forward: residual branches, normalised first."""

    def __init__(self, width: int, num_heads: int, feedforward_width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.tokens_offer = KeysValues(width, num_heads)
        self.to_tokens = Branch(CrossAttention(width, num_heads), width, dropout)
        self.to_frames = Branch(CrossAttention(width, num_heads), width, dropout)
        self.feedforward = Branch(FeedForward(width, feedforward_width), width, dropout)

    def forward(
        self, states: Tensor, frames: KeysAndValues, allowed: Tensor, past: KeysAndValues | None
    ) -> tuple[Tensor, KeysAndValues]:
        """States (B, N, U, D) → (B, N, U, D), and the keys and values of these tokens after those of `past`."""
        shape = states.shape
        rows = states.flatten(0, 1)  # (B·N, U, D)
        keys, values = self.tokens_offer(self.norm(rows))  # (B·N, H, U, K)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        num_new, num_all = rows.shape[1], keys.shape[2]
        causal = torch.ones(num_new, num_all, dtype=torch.bool, device=rows.device).tril(num_all - num_new)
        rows = self.to_tokens(rows, keys, values, causal)
        # The hypotheses of an utterance are more queries to the same frames, whose keys are never copied for a beam.
        rows = self.to_frames(rows.reshape(shape[0], -1, shape[3]), *frames, allowed)  # (B, N·U, D)
        return self.feedforward(rows).view(shape), (keys, values)


class Decoder(nn.Module):
    """Transformer decoder (arXiv 1706.03762): token and position embeddings, blocks, one linear layer to tokens.

    END_ID is the first token that goes in and the last that comes out. N hypotheses of an utterance share its frames.
    """

    def __init__(
        self,
        vocab_size: int,
        width: int,
        num_blocks: int,
        num_heads: int,
        feedforward_width: int,
        dropout: float,
        checkpoint_positions: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, width)
        nn.init.normal_(self.embedding.weight, std=0.5**0.5)  # rows as long as those of the positions
        self.positions = SinusoidalEmbedding(width, checkpoint_positions)
        self.frames_offer = nn.ModuleList(KeysValues(width, num_heads) for _ in range(num_blocks))
        self.blocks = nn.ModuleList(
            DecoderBlock(width, num_heads, feedforward_width, dropout) for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, vocab_size)
        nn.init.zeros_(self.project.bias)

    def listen(self, frames: Tensor, lengths: Tensor) -> Memory:
        """What all steps need of the encoder's frames (B, T, D), T ≥ 1, and their lengths (B,)."""
        # Note: an utterance without frames may attend to padding, or its softmax would be 0/0.
        allowed = valid_frames(lengths, frames.shape[1]) | (lengths == 0)[:, None]  # (B, T)
        return Memory(tuple(offer(frames) for offer in self.frames_offer), allowed[:, None, None, :])

    def forward(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """Tokens (B, N, U) → log-probabilities (B, N, U, V) of the token after each, float32.

        `past` is what the call with the tokens before these returned; in evaluation mode, step by step equals all at
        once. (In training each call would draw its own dropout.)
        """
        offset = 0 if past is None else past[0][0].shape[2]
        states = self.embedding(tokens) + self.positions(tokens.shape[2], offset)  # (B, N, U, D)
        present = []
        for number, block in enumerate(self.blocks):
            states, keys_values = block(
                states, memory.keys_values[number], memory.allowed, None if past is None else past[number]
            )
            present.append(keys_values)
        logits = self.project(self.norm(states)).float()  # (B, N, U, V)
        return functional.log_softmax(logits, dim=-1), tuple(present)

    def score(
        self, frames: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, label_smoothing: float = 0.0
    ) -> Tensor:
        """Log-probability (B, N) of each of `tokens` (B, N, U), lengths (B, N), and of the end after it; one pass.

        With `label_smoothing` s, a term is (1 − s) · log P(token) + s · mean of log P over V (arXiv 1512.00567).
        """
        log_probs, _ = self(functional.pad(tokens, (1, 0), value=END_ID), self.listen(frames, lengths))
        places = torch.arange(tokens.shape[2] + 1, device=tokens.device)
        targets = functional.pad(tokens, (0, 1)).where(places < token_lengths[..., None], END_ID)  # (B, N, U + 1)
        terms = log_probs.gather(-1, targets[..., None])[..., 0]  # (B, N, U + 1)
        if label_smoothing:
            terms = torch.lerp(terms, log_probs.mean(dim=-1), label_smoothing)
        return terms.where(places <= token_lengths[..., None], 0.0).sum(dim=-1)  # (B, N)

    def loss(
        self, frames: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, label_smoothing: float = 0.0
    ) -> Tensor:
        """Cross-entropy of `tokens` (B, U) with lengths (B,), a scalar: the sum of `token_lengths.sum() + B` terms."""
        return -self.score(frames, lengths, tokens[:, None], token_lengths[:, None], label_smoothing).sum()


def choose_hypotheses(past: Past, parents: Tensor, utterances: Tensor | None = None) -> Past:
    """The past of hypotheses `parents` (B, N), which may repeat; a beam goes on from these.

    With `utterances` (B,), which may be fewer than those of `past`, a row of `parents` belongs to each of them.
    """
    if utterances is None:
        utterances = torch.arange(len(parents), device=parents.device)
    rows = (utterances[:, None] * parents.shape[1] + parents).flatten()  # (B·N,)
    return tuple((keys[rows], values[rows]) for keys, values in past)
