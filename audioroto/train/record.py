"""What a run writes and shows of itself: figures, pictures, lines on the terminal."""

from contextlib import AbstractContextManager, nullcontext

import torch
from rich.console import Console

from audioroto.model.asr import AsrModel
from audioroto.train.experiment import Experiment
from audioroto.train.internals import Internals, draw_internals
from audioroto.train.metrics import MetricsLog, draw_curves, read_metrics
from audioroto.train.state import Progress
from audioroto.train.tensorboard import TensorBoard
from audioroto.train.update import UpdateResult
from audioroto.train.utilization import Utilization
from audioroto.train.validate import Validation


class Record:
    """Kept by the first process alone. A run that goes on after `update` forgets what was written beyond it."""

    def __init__(self, experiment: Experiment, model: AsrModel, update: int, console: Console) -> None:
        self.experiment = experiment
        self.model = model
        self.update = update
        self.console = console
        self.metrics = MetricsLog(experiment.folder / "metrics.jsonl", update)
        self.internals: Internals | None = None
        self.utilization: Utilization | None = None

    def keep_internals(self, optimizer: torch.optim.Optimizer) -> None:
        """Write what goes on inside the model to diagnostics.jsonl at each update that is watched."""
        path = self.experiment.folder / "diagnostics.jsonl"
        self.internals = Internals(self.model, optimizer, path, self.update)

    def show_on_tensorboard(self) -> None:
        """Write metrics for TensorBoard too."""
        board = TensorBoard(self.experiment.folder / "tensorboard", self.update)
        self.metrics.followers.append(board.write)

    def watch(self, update: int) -> AbstractContextManager[object]:
        """Around what is computed in `update`, of which the internals are kept where that is asked for."""
        return self.internals.watch(update) if self.internals else nullcontext()

    def add_update(self, progress: Progress, result: UpdateResult, num_tokens: int, num_utterances: int) -> None:
        """Write the losses of an update a token, its gradient and its learning rate."""
        losses = {name: total / num_tokens for name, total in result.losses.items()}
        if "attention" in losses:  # the decoder says the end of each utterance too
            losses["attention"] *= num_tokens / (num_tokens + num_utterances)
        if result.unspoken_loss is not None:
            losses["unspoken"] = result.unspoken_loss
        base = self.model.encoder.rotary_base
        self.metrics.append(
            update=progress.update,
            epoch=progress.epoch,
            **_name_losses("train", losses),
            learning_rate=result.learning_rate,
            gradient_norm=round(result.gradient_norm, 5),
            **({"utilization": round(self.utilization.since_last(progress), 4)} if self.utilization else {}),
            **({} if base is None or base.mode == "fixed" else {"rotary_base": round(base.base, 3)}),
            audio_seconds=round(progress.audio_seconds, 1),
            wall_seconds=round(progress.wall_seconds, 2),
        )

    def add_validation(self, progress: Progress, found: Validation) -> None:
        """Write and show what a validation has found, and draw the run so far."""
        wer, cer = 100 * found.words.rate, 100 * found.characters.rate
        losses = {"total": found.loss, "ctc": found.ctc_loss}
        if found.attention_loss is not None:
            losses["attention"] = found.attention_loss
        self.metrics.append(
            update=progress.update,
            **_name_losses("valid", losses),
            valid_wer=round(wer, 4),
            valid_cer=round(cer, 4),
            audio_seconds=round(progress.audio_seconds, 1),
            wall_seconds=round(progress.wall_seconds, 2),
        )
        self.console.print(
            f"update {progress.update}: validation loss {found.loss:.3f}, WER {wer:.2f} %, CER {cer:.2f} % · "
            f"{progress.audio_seconds / max(1e-9, progress.wall_seconds):.0f} audio s/s\n"
            f"  reference:  {found.example_reference[:100]}\n  hypothesis: {found.example_hypothesis[:100]}",
            highlight=False,
            markup=False,
        )
        folder = self.experiment.folder
        draw_curves(read_metrics(self.metrics.path), folder / "curves.png", folder.name)
        if self.internals:
            draw_internals(read_metrics(self.internals.log.path), folder / "diagnostics.png")


def _name_losses(split: str, losses: dict[str, float]) -> dict[str, float]:
    """The loss and its parts for metrics.jsonl; nothing but the loss where CTC is all of it."""
    parts = {name: loss for name, loss in losses.items() if name != "total"} if len(losses) > 2 else {}
    return {
        f"{split}_loss": round(losses["total"], 5),
        **{f"{split}_{name}_loss": round(loss, 5) for name, loss in parts.items()},
    }
