"""A neural language model over the recogniser's tokens: how probable a token is after those before it."""

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.errors import UserError
from audioroto.files import atomic_path
from audioroto.model.decoder import KeysAndValues, Past
from audioroto.model.tensor_file import DamagedFileError, read_tensors, write_tensors
from audioroto.nn.branch import Branch
from audioroto.nn.causal_attention import CausalAttention
from audioroto.nn.feedforward import FeedForward
from audioroto.text.tokenizer import END_ID, Tokenizer

FORMAT = "audioroto-lm-1"


@dataclass(frozen=True)
class Shape:
    """The size of a language model."""

    width: int = 256
    num_blocks: int = 4
    num_heads: int = 4
    feedforward_width: int = 1024


class LanguageBlock(nn.Module):
    """Attention to the tokens so far, feed-forward: residual branches, normalised first."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention = Branch(CausalAttention(shape.width, shape.num_heads), shape.width, dropout=0.0)
        self.feedforward = Branch(FeedForward(shape.width, shape.feedforward_width), shape.width, dropout=0.0)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows of tokens (S, U, D) → (S, U, D)."""
        return self.feedforward(self.attention(rows))

    def step(
        self, tokens: Tensor, said: Tensor, offset: int, past: KeysAndValues | None
    ) -> tuple[Tensor, KeysAndValues]:
        """Hypotheses' tokens (B, N, D) → (B, N, D), with keys and values, as `CausalAttention.step`."""
        layer = cast(CausalAttention, self.attention.layer)
        attended, present = layer.step(self.attention.norm(tokens), said, offset, past)
        return self.feedforward(torch.addcmul(tokens, attended, self.attention.scale)), present


class LanguageModel(nn.Module):
    """Transformer over tokens, END_ID before the first and after the last (arXiv 1706.03762), with rotary positions."""

    path: Path | None = None  # of the file that it was read from

    def __init__(self, vocab_size: int, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(vocab_size, shape.width)
        self.blocks = nn.ModuleList(LanguageBlock(shape) for _ in range(shape.num_blocks))
        self.norm = nn.LayerNorm(shape.width)
        self.project = nn.Linear(shape.width, vocab_size)
        nn.init.zeros_(self.project.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (S, U) → log-probabilities (S, U, V) of the token after each, float32."""
        rows = self.embedding(tokens)  # (S, U, D)
        for block in self.blocks:
            rows = block(rows)
        return self._log_probs(rows)

    def score(self, tokens: Tensor, token_lengths: Tensor) -> Tensor:
        """Log-probability (S,) of each of `tokens` (S, U), lengths (S,), and of the end after it."""
        log_probs = self(functional.pad(tokens, (1, 0), value=END_ID))
        places = torch.arange(tokens.shape[1] + 1, device=tokens.device)
        targets = functional.pad(tokens, (0, 1)).where(places < token_lengths[:, None], END_ID)  # (S, U + 1)
        terms = log_probs.gather(-1, targets[..., None])[..., 0]
        return terms.where(places <= token_lengths[:, None], 0.0).sum(dim=-1)

    def step(self, tokens: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """The last token (B, N) of each hypothesis → log-probabilities (B, N, V) of the next, float32; and the past.

        `past` is what the step before returned. Step by step equals all at once.
        """
        num_tokens = past.num_tokens if past else 0
        rows = self.embedding(tokens)  # (B, N, D)
        own = torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device).expand(len(tokens), -1, -1)
        said = torch.cat([past.said, own], dim=2) if past else own  # (B, N, P + N)
        present: list[KeysAndValues] = []
        for number, block in enumerate(self.blocks):
            rows, keys_values = cast(LanguageBlock, block).step(
                rows, said, num_tokens, past.keys_values[number] if past else None
            )
            present.append(keys_values)
        return self._log_probs(rows), Past(tuple(present), said, num_tokens + 1)

    def _log_probs(self, rows: Tensor) -> Tensor:
        return functional.log_softmax(self.project(self.norm(rows)).float(), dim=-1)


def save_language_model(
    path: str | Path, model: LanguageModel, tokenizer: Tokenizer, notes: dict[str, Any], half: bool = False
) -> None:
    """Write the model file, atomically; `half` keeps matrices in float16. `notes` says where it comes from."""
    metadata = {
        "format": FORMAT,
        "shape": json.dumps(asdict(model.shape)),
        "tokenizer": base64.b64encode(tokenizer.model).decode("ascii"),
        "notes": json.dumps(notes),
    }
    weights = {
        name: tensor.detach().cpu().half() if half and tensor.ndim > 1 else tensor.detach().cpu()
        for name, tensor in model.state_dict().items()
    }
    with atomic_path(path) as temporary:
        write_tensors(temporary, weights, metadata)


def load_language_model(path: str | Path, tokenizer: Tokenizer) -> LanguageModel:
    """The model in a file, float32 in evaluation mode. Raises UserError unless it is over the tokens of `tokenizer`."""
    try:
        metadata, weights = read_tensors(path)
    except DamagedFileError as error:
        raise UserError(f"language model {path} cannot be read ({error}); make it with 'audioroto train-lm'") from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is no neural language model; make one with 'audioroto train-lm'")
    if base64.b64decode(metadata["tokenizer"]) != tokenizer.model:
        raise UserError(
            f"language model {path} has other tokens than the recogniser; train it with "
            "'audioroto train-lm --tokenizer' and this recogniser"
        )
    model = LanguageModel(tokenizer.vocab_size, Shape(**json.loads(metadata["shape"])))
    model.load_state_dict(weights)
    model.path = Path(path)
    return model.eval()
