"""One optimizer update, whatever the number of processes that share it out."""

import math
from dataclasses import dataclass, fields

import torch
from torch import nn

from audioroto.config import Config
from audioroto.corpus.loader import Batch
from audioroto.corpus.unspoken import UnspokenText
from audioroto.model.asr import AsrModel, Losses
from audioroto.train.distributed import Processes
from audioroto.train.optimizer import learning_rate


@dataclass(frozen=True)
class UpdateResult:
    """What an update has cost, over all its parts and processes."""

    losses: dict[str, float]  # the fields of `Losses` that the model has, in nats: sums over the utterances
    unspoken_loss: float | None  # nats a token of the text that nobody has spoken, where there is one
    learning_rate: float
    gradient_norm: float  # before clipping
    audio_seconds: float  # as heard: at the drawn speeds
    skipped: bool  # loss or gradient was not finite, and the weights have stayed
    bad_batches: list[Batch]  # parts of this process that are to blame for it


class Updater:
    """Updates a model on parts of which each process has some.

    Gradients are those of the loss summed over all parts and divided by the number of tokens of all, so that the same
    parts give the same update however they are shared out. Dropout and layer drop are keyed by seed, update and part;
    so is the part of `unspoken` that goes with a part of the speech.
    """

    def __init__(
        self,
        model: AsrModel,
        optimizer: torch.optim.Optimizer,
        config: Config,
        device: torch.device,
        dtype: torch.dtype,
        processes: Processes,
        unspoken: UnspokenText | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.config = config
        self.device = device
        self.dtype = dtype
        self.processes = processes
        self.unspoken = unspoken

    def update(self, number: int, batches: list[Batch], num_tokens: int) -> UpdateResult:
        """The update `number` on `batches`, the parts of this process; `num_tokens` are those of all parts.

        The weights stay as they are where loss or gradient are not finite, in all processes alike.
        """
        rate = learning_rate(number, self.config.train)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        growing = self.config.augment.start_update
        self.model.set_regularization(min(1.0, number / growing) if growing else 1.0)
        found: dict[str, list[float]] = {field.name: [] for field in fields(Losses)}
        unspoken_sums = [0.0, 0.0]  # loss and number of tokens
        bad: list[Batch] = []
        for batch in batches:
            losses = self.compute_drawn_losses(number, batch)
            (losses.total / num_tokens).backward()
            for name, values in found.items():
                if (value := getattr(losses, name)) is not None:
                    values.append(value.item())
            if not math.isfinite(found["total"][-1]):
                bad.append(batch)
            if self.unspoken:
                loss, count = self._learn_unspoken(self.unspoken, number, batch, num_tokens)
                unspoken_sums = [unspoken_sums[0] + loss, unspoken_sums[1] + count]
        self.processes.sum_gradients(self.model.parameters())
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.train.clip_norm))
        num_samples = sum(int(batch.waveform_lengths.sum()) for batch in batches)
        sums = self.processes.sum([sum(values) for values in found.values()])
        counts = self.processes.sum([len(values) for values in found.values()])
        unspoken_loss, num_unspoken = self.processes.sum(unspoken_sums)
        skipped = not (math.isfinite(norm) and all(map(math.isfinite, sums)))
        if not skipped:
            self.optimizer.step()
        elif not self.processes.any(bool(bad)):  # each loss was finite, a gradient was not
            bad = batches
        self.optimizer.zero_grad()
        return UpdateResult(
            losses={name: total for name, total, count in zip(found, sums, counts, strict=True) if count},
            unspoken_loss=unspoken_loss / num_unspoken if num_unspoken else None,
            learning_rate=rate,
            gradient_norm=norm,
            audio_seconds=self.processes.sum([num_samples])[0] / self.config.features.sample_rate,
            skipped=skipped,
            bad_batches=bad,
        )

    def _learn_unspoken(self, unspoken: UnspokenText, number: int, batch: Batch, num_tokens: int) -> tuple[float, int]:
        """Add the gradient of the text that goes with `batch`; its loss, and its number of tokens with the ends."""
        settings, wanted = self.config.unspoken, int(batch.token_lengths.sum())
        tokens, lengths = unspoken.draw(number, batch.plan.part, max(1, round(settings.tokens_ratio * wanted)))
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.model.compute_unspoken_loss(tokens.to(self.device), lengths.to(self.device))
        (settings.weight * loss / num_tokens).backward()
        return loss.item(), int(lengths.sum()) + len(lengths)

    def compute_drawn_losses(self, number: int, batch: Batch) -> Losses:
        """The losses of a part of update `number`, dropout and layer drop drawn as that update draws them."""
        torch.manual_seed(dropout_seed(self.config.train.seed, number, batch.plan.part))
        return self.compute_losses(batch)

    def compute_losses(self, batch: Batch) -> Losses:
        """The losses of a batch, in the run's precision, with gradients to follow."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.model.loss(
                batch.waveforms.to(self.device),
                batch.waveform_lengths.to(self.device),
                batch.tokens.to(self.device),
                batch.token_lengths.to(self.device),
                augment_seeds=batch.seeds,
            )


def dropout_seed(seed: int, update: int, part: int) -> int:
    """The seed of what a part of an update draws beside its augmentation: the same in whatever process it is computed.

    Note: torch's generator on the CPU looks at the lowest 32 bits alone; parts lie a golden section of these apart.
    """
    return seed * 1_000_003 + update + part * 2_654_435_769
