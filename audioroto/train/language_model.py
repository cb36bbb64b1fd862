"""Training of a neural language model on text, on from where it was stopped."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from audioroto.config import Train
from audioroto.corpus.unspoken import UnspokenText
from audioroto.errors import UserError
from audioroto.files import atomic_path, one_at_a_time
from audioroto.model.checkpoint import describe_environment
from audioroto.model.device import choose_device, choose_precision
from audioroto.model.language_model import LanguageModel, Shape, save_language_model
from audioroto.model.tensor_file import DamagedFileError, read_tensors, write_tensors
from audioroto.text.tokenizer import Tokenizer
from audioroto.train.experiment import make_progress_bar
from audioroto.train.interrupt import note_stop_signals
from audioroto.train.metrics import MetricsLog
from audioroto.train.optimizer import learning_rate, make_optimizer
from audioroto.train.state import MOMENTS

MOST_TOKENS = 256  # longer sentences are left out
_SCORED_AT_ONCE = 64  # sentences of the validation text


def train_language_model(
    text: UnspokenText,
    valid_sentences: Sequence[str],
    tokenizer: Tokenizer,
    exp_dir: str | Path,
    shape: Shape,
    settings: Train,
    batch_tokens: int,
    *,
    device: str = "auto",
    console: Console,
) -> Path:
    """Train on `batch_tokens` tokens of the text an update, and return the model file, EXP_DIR/lm.safetensors.

    Of `settings` the optimizer's are read, the seed, the precision and how often to log, to validate and to save. The
    perplexity of a word of `valid_sentences`, each with its end as one word more, goes to metrics.jsonl. A run that was
    stopped goes on from its state. Raises UserError where that is another run's or damaged, where the loss is not
    finite, and where another process trains in the same folder.
    """
    with one_at_a_time(exp_dir, "training in"):
        run = _Run(text, valid_sentences, tokenizer, Path(exp_dir), shape, settings, batch_tokens, device, console)
        return run.run()


class _Run:
    def __init__(
        self,
        text: UnspokenText,
        valid_sentences: Sequence[str],
        tokenizer: Tokenizer,
        folder: Path,
        shape: Shape,
        settings: Train,
        batch_tokens: int,
        device: str,
        console: Console,
    ) -> None:
        self.text, self.tokenizer, self.folder = text, tokenizer, folder
        self.settings, self.batch_tokens, self.console = settings, batch_tokens, console
        self.valid_words = sum(len(sentence.split()) + 1 for sentence in valid_sentences)
        self.valid_tokens = sorted(tokenizer.encode_all(list(valid_sentences)), key=len)
        self.device = choose_device(device)
        self.dtype = choose_precision(settings.precision, self.device)
        torch.manual_seed(settings.seed)
        text.seed = settings.seed
        self.model = LanguageModel(tokenizer.vocab_size, shape).to(self.device)
        self.optimizer = make_optimizer(self.model, settings)
        self.updates, self.seconds = 0, 0.0
        self.identity = json.dumps(
            {"text": text.digest, "shape": asdict(shape), "batch_tokens": batch_tokens, **settings.model_dump()}
        )

    @property
    def state(self) -> Path:
        return self.folder / "resume.safetensors"

    def run(self) -> Path:
        if self.state.exists():
            self._resume()
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        self.console.print(
            f"{self.text.num_sentences:,} sentences, {len(self.text.tokens):,} tokens; {parameters:,} parameters, "
            f"{self.device.type} in {str(self.dtype).removeprefix('torch.')}"
        )
        settings, out = self.settings, self.folder / "lm.safetensors"
        metrics = MetricsLog(self.folder / "metrics.jsonl", self.updates)
        started = time.monotonic() - self.seconds
        losses: list[float] = []
        perplexity: float | None = None
        with note_stop_signals() as stop, make_progress_bar(self.console) as bar:
            task = bar.add_task("train-lm", total=settings.max_updates, completed=self.updates, note="")
            while self.updates < settings.max_updates:
                losses.append(self._update())
                self.seconds = time.monotonic() - started
                bar.update(task, completed=self.updates, note=f"loss {losses[-1]:.3f}")
                last = self.updates == settings.max_updates
                if self.updates % settings.log_every_updates == 0 or last:
                    metrics.append(update=self.updates, train_loss=math.fsum(losses) / len(losses), **self._facts())
                    losses.clear()
                if self.updates % settings.valid_every_updates == 0 or last:
                    perplexity = self.measure_perplexity()
                    metrics.append(update=self.updates, valid_perplexity=perplexity, **self._facts())
                if self.updates % settings.save_every_updates == 0 or last or stop:
                    self._save()
                if stop:
                    self.console.print(f"stopped at update {self.updates}; the same command goes on from there")
                    raise KeyboardInterrupt
        perplexity = perplexity or self.measure_perplexity()  # nothing was left to do for a finished run
        notes = {
            "updates": self.updates,
            "tokens": self.updates * self.batch_tokens,
            "train_minutes": round(self.seconds / 60, 2),
            "valid_perplexity": round(perplexity, 3),
            "parameters": parameters,
            "environment": describe_environment(),
        }
        save_language_model(out, self.model, self.tokenizer, notes, half=True)
        self.console.print(f"perplexity of a word in validation {perplexity:.1f}")
        return out

    def measure_perplexity(self) -> float:
        """The perplexity of a word of the validation sentences; their ends count as words."""
        total = 0.0
        for first in range(0, len(self.valid_tokens), _SCORED_AT_ONCE):
            tokens, lengths = _pad(self.valid_tokens[first : first + _SCORED_AT_ONCE])
            with torch.no_grad():
                total -= self.model.score(tokens.to(self.device), lengths.to(self.device)).sum().item()
        return math.exp(total / self.valid_words)

    def _update(self) -> float:
        """One update; the loss in nats a token, of which the ends are some."""
        rate = learning_rate(self.updates, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        tokens, lengths = (part.to(self.device) for part in self.text.draw(self.updates, 0, self.batch_tokens))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = -self.model.score(tokens, lengths).sum() / (lengths.sum() + len(lengths))
        loss.backward()
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm))
        if not math.isfinite(norm):
            raise UserError(f"update {self.updates + 1}: the gradient is not finite; give a lower --learning-rate")
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.updates += 1
        return loss.item()

    def _facts(self) -> dict[str, Any]:
        rate = learning_rate(self.updates - 1, self.settings)
        return {"learning_rate": rate, "wall_seconds": round(self.seconds, 2)}

    def _save(self) -> None:
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            tensors |= {f"{key}.{name}": value for key, value in self.optimizer.state[parameter].items()}
        metadata = {"identity": self.identity, "updates": str(self.updates), "seconds": str(self.seconds)}
        with atomic_path(self.state) as temporary:
            write_tensors(temporary, tensors, metadata)

    def _resume(self) -> None:
        try:
            metadata, tensors = read_tensors(self.state)
        except DamagedFileError as error:
            raise UserError(f"{self.state} is damaged ({error}); remove it to begin anew") from None
        if metadata["identity"] != self.identity:
            raise UserError(
                f"{self.state} belongs to a run on other text or with other settings; give another --exp-dir, or "
                "remove it to begin anew"
            )
        names = self.model.state_dict()
        self.model.load_state_dict({name: tensors[f"model.{name}"] for name in names})
        for name, parameter in self.model.named_parameters():
            moments = {key: tensors[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in tensors}
            self.optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in moments.items()}
        self.updates, self.seconds = int(metadata["updates"]), float(metadata["seconds"])
        self.console.print(f"resumed at update {self.updates} of {self.settings.max_updates}")


def _pad(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    tokens = nn.utils.rnn.pad_sequence([torch.tensor(row, dtype=torch.int64) for row in rows], batch_first=True)
    return tokens, torch.tensor([len(row) for row in rows])
