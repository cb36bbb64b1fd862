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


@dataclass(frozen=True)
class Memory:
    """What the decoder hears: the frames' keys and values for each block, and which of the frames are real."""

    keys_values: tuple[KeysAndValues, ...]  # each (B, H, T, K)
    allowed: Tensor  # (B, 1, 1, T)

    def select(self, utterances: Tensor) -> "Memory":
        """What is heard of `utterances` (B',)."""
        kept = tuple((keys[utterances], values[utterances]) for keys, values in self.keys_values)
        return Memory(kept, self.allowed[utterances])


@dataclass(frozen=True)
class Past:
    """What the hypotheses of a beam have said, as one tree for each utterance: what several begin with is held once."""

    keys_values: tuple[KeysAndValues, ...]  # of the tree's P tokens, for each block, each (B, H, P, K)
    said: Tensor  # (B, N, P) which of them a hypothesis has said
    num_tokens: int  # how many each has said

    def choose(self, parents: Tensor, utterances: Tensor | None = None) -> "Past":
        """The past of hypotheses `parents` (B, N), which may repeat; a beam goes on from these, the rest is forgotten.

        With `utterances` (B,), which may be fewer than there were, a row of `parents` belongs to each of them.
        """
        if utterances is None:
            utterances = torch.arange(len(parents), device=parents.device)
        said = self.said[utterances[:, None], parents]  # (B, N, P)
        needed = said.any(dim=1)  # (B, P)
        # Tokens that somebody has said come first; where utterances differ, some that nobody has said fill the places.
        order = needed.byte().argsort(dim=1, descending=True, stable=True)[:, : int(needed.sum(dim=1).max())]
        kept = tuple(
            (_take(keys, utterances, order), _take(values, utterances, order)) for keys, values in self.keys_values
        )
        return Past(kept, said.gather(2, order[:, None].expand(*parents.shape, -1)), self.num_tokens)


def _take(of_tree: Tensor, utterances: Tensor, order: Tensor) -> Tensor:
    """Keys or values (·, H, P, K) → those of the tokens `order` (B, P') of `utterances` (B,), (B, H, P', K)."""
    return of_tree.transpose(1, 2)[utterances[:, None], order].transpose(1, 2)


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
        self,
        rows: Tensor,
        visible: Tensor,
        frames: KeysAndValues,
        allowed: Tensor,
        past: KeysAndValues | None = None,
    ) -> tuple[Tensor, KeysAndValues]:
        """Tokens in S rows, (S, U, D) → the same, and their keys and values after those of `past`, (S, H, P + U, K).

        `visible` broadcasts to (S, H, U, P + U). S is a multiple of B, the number of utterances.
        """
        keys, values = self.tokens_offer(self.norm(rows))  # (S, H, U, K)
        if past is not None:
            keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
        shape = rows.shape
        rows = self.to_tokens(rows, keys, values, visible)
        # The rows of an utterance are more queries to the same frames, whose keys are never copied for a beam.
        rows = self.to_frames(rows.reshape(len(allowed), -1, shape[2]), *frames, allowed)
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

    def hear_nothing(self, num_utterances: int) -> tuple[Tensor, Tensor]:
        """What the decoder hears when it is a language model alone: a frame of zeros (B, 1, D) each, lengths (B,)."""
        frames = self.project.weight.new_zeros(num_utterances, 1, self.project.in_features)
        return frames, torch.ones(num_utterances, dtype=torch.int64, device=frames.device)

    def forward(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Tokens (B, N, U) → log-probabilities (B, N, U, V) of the token after each, float32."""
        num_tokens = tokens.shape[2]
        states = self.embedding(tokens) + self.positions(num_tokens, 0)  # (B, N, U, D)
        rows = states.flatten(0, 1)  # (B·N, U, D)
        causal = torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=rows.device).tril()
        for block, frames in zip(self.blocks, memory.keys_values, strict=True):
            rows, _ = block(rows, causal, frames, memory.allowed)
        return self._log_probs(rows).view(*tokens.shape, -1)

    def step(self, tokens: Tensor, memory: Memory, past: Past | None = None) -> tuple[Tensor, Past]:
        """The last token (B, N) of each hypothesis → log-probabilities (B, N, V) of the next, float32; and the past.

        `past` is what the step before returned. In evaluation mode, step by step equals all at once. (In training each
        step would draw its own dropout.)
        """
        num_tokens = past.num_tokens if past else 0
        rows = self.embedding(tokens) + self.positions(1, num_tokens)  # (B, N, D)
        own = torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device).expand(len(tokens), -1, -1)
        said = torch.cat([past.said, own], dim=2) if past else own  # (B, N, P + N)
        present = []
        for number, (block, frames) in enumerate(zip(self.blocks, memory.keys_values, strict=True)):
            rows, keys_values = block(
                rows, said[:, None], frames, memory.allowed, past.keys_values[number] if past else None
            )
            present.append(keys_values)
        return self._log_probs(rows), Past(tuple(present), said, num_tokens + 1)

    def _log_probs(self, rows: Tensor) -> Tensor:
        return functional.log_softmax(self.project(self.norm(rows)).float(), dim=-1)

    def score(
        self, frames: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor, label_smoothing: float = 0.0
    ) -> Tensor:
        """Log-probability (B, N) of each of `tokens` (B, N, U), lengths (B, N), and of the end after it; one pass.

        With `label_smoothing` s, a term is (1 − s) · log P(token) + s · mean of log P over V (arXiv 1512.00567).
        """
        log_probs = self(functional.pad(tokens, (1, 0), value=END_ID), self.listen(frames, lengths))
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
