"""The training run: data, model, optimizer, resume, loop, save."""

import logging
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console

from audioroto.config import Config, save_config
from audioroto.corpus.batches import iter_batches, plan_epoch
from audioroto.corpus.datadir import read_datadir, summarize
from audioroto.corpus.loader import Batch, SpeechDataset, load_batches
from audioroto.errors import UserError
from audioroto.model.asr import Losses, build_model, count_parameters
from audioroto.model.checkpoint import Checkpoint, describe_environment, save_checkpoint
from audioroto.model.device import choose_device, choose_precision
from audioroto.train.base_control import follow_loss
from audioroto.train.diagnose import explain_out_of_memory, load_worst_batch, save_bad_batch
from audioroto.train.experiment import Experiment, make_progress_bar
from audioroto.train.initialize import choose_tokenizer, load_origin
from audioroto.train.internals import Internals, draw_internals, find_first_not_finite
from audioroto.train.interrupt import note_stop_signals
from audioroto.train.metrics import MetricsLog, draw_curves, read_metrics
from audioroto.train.optimizer import learning_rate, make_optimizer
from audioroto.train.running_average import RunningAverage
from audioroto.train.selection import (
    describe_shared_speakers,
    fingerprint,
    make_report,
    select_utterances,
    write_dropped,
)
from audioroto.train.state import Progress, load_state, save_state
from audioroto.train.statistics import measure_statistics
from audioroto.train.tensorboard import TensorBoard
from audioroto.train.validate import Validation, open_validation_set

MOST_BAD_UPDATES = 10

logger = logging.getLogger(__name__)


def train(
    config: Config,
    train_dir: str | Path,
    valid_dir: str | Path,
    tokenizer_path: str | Path | None,
    exp_dir: str | Path,
    *,
    device: str = "auto",
    init_from: str | Path | None = None,
    restart: bool = False,
    dry_run: bool = False,
    diagnostics: bool = False,
    tensorboard: bool = False,
    console: Console,
) -> None:
    """Train a model on `train_dir`, choosing checkpoints by WER on `valid_dir`; goes on where an earlier call stopped.

    `init_from` is a model file to begin from, whose tokenizer is taken where `tokenizer_path` is None. A dry run stops
    after the trial of the worst batch and one update, and leaves nothing behind. `diagnostics` writes what goes on
    inside the model to diagnostics.jsonl and .png, `tensorboard` writes the metrics for TensorBoard too.
    Raises KeyboardInterrupt after saving when it is asked to stop (Ctrl-C, SIGTERM), UserError for inputs it refuses.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as nowhere:
        paths = (train_dir, valid_dir, tokenizer_path, nowhere if dry_run else exp_dir)
        trainer = Trainer(config, *paths, device=device, init_from=init_from, console=console)
        trainer.resume(restart)
        if diagnostics:
            trainer.watch_internals()
        if tensorboard:
            trainer.show_on_tensorboard()
        if dry_run:
            trainer.run_dry(started)
        else:
            trainer.run()


class Trainer:
    """A run in progress. `progress` says how far it is; everything it needs to go on is in `experiment.state`."""

    def __init__(
        self,
        config: Config,
        train_dir: str | Path,
        valid_dir: str | Path,
        tokenizer_path: str | Path | None,
        exp_dir: str | Path,
        *,
        device: str,
        init_from: str | Path | None = None,
        console: Console,
    ) -> None:
        self.config = config
        self.console = console
        self.experiment = Experiment(Path(exp_dir))
        self.device = choose_device(device)
        self.dtype = choose_precision(config.train.precision, self.device)
        self.origin = load_origin(init_from) if init_from else None
        self.tokenizer = choose_tokenizer(tokenizer_path, self.origin)
        if self.origin:
            self.origin.refuse_unless_fit(config, self.tokenizer)
        selection = select_utterances(read_datadir(train_dir), self.tokenizer, config)
        console.print(make_report(selection, Path(train_dir)))
        write_dropped(selection, self.experiment.folder / "dropped.tsv")
        self.train_set = SpeechDataset(
            selection.utterances,
            selection.tokens,
            config.features.sample_rate,
            seed=config.train.seed,
            augment=config.augment,
        )
        self.inputs = fingerprint(selection, self.tokenizer, self.train_set.surroundings_files)
        self.train_summary = summarize(selection.utterances)
        self.validator = open_validation_set(valid_dir, self.tokenizer, config)
        others = self.validator.dataset.utterances
        if shared := describe_shared_speakers(selection.utterances, others, Path(valid_dir)):
            logger.warning(shared)
        self.model = build_model(config, self.tokenizer.vocab_size).to(self.device)
        self.optimizer = make_optimizer(self.model, config.train.weight_decay)
        self.average = RunningAverage(self.model, config.train.average_decay)
        self.base_controller = follow_loss(self.model, config.position)
        self.progress = Progress()
        self.num_bad_updates = 0
        self.internals: Internals | None = None
        console.print(
            f"{count_parameters(self.model):,} parameters, {self.tokenizer.vocab_size} tokens, "
            f"{self.device.type} in {str(self.dtype).removeprefix('torch.')}"
        )

    def resume(self, restart: bool) -> None:
        """Load the state that an interrupted run left; without one, or with `restart`, measure statistics and begin."""
        if self.experiment.state.exists() and not restart:
            self.progress = load_state(
                self.experiment.state, self.model, self.optimizer, self.config, self.inputs, self.average.tensors
            )
            if self.origin:
                self.origin.refuse_unless_begun_from(self.progress.init_from, self.experiment.state)
            self.console.print(f"resumed at update {self.progress.update} of {self.config.train.max_updates}")
        else:
            save_config(self.config, self.experiment.folder / "config.toml")
            if self.origin:
                self.model.load_state_dict(self.origin.checkpoint.weights)  # with the statistics of features
                self.progress.init_from = self.origin.chain
            else:
                measure_statistics(self.model, self.train_set)
            self.average.reset()
        self.metrics = MetricsLog(self.experiment.folder / "metrics.jsonl", self.progress.update)

    def watch_internals(self) -> None:
        """Write what goes on inside the model to diagnostics.jsonl, as often as metrics are written."""
        path = self.experiment.folder / "diagnostics.jsonl"
        self.internals = Internals(self.model, self.optimizer, path, self.progress.update)

    def show_on_tensorboard(self) -> None:
        """Write metrics for TensorBoard too. Raises UserError where it is not installed."""
        board = TensorBoard(self.experiment.folder / "tensorboard", self.progress.update)
        self.metrics.followers.append(board.write)

    def run(self) -> None:
        """Update until the configured number is reached, validating and saving on the way."""
        settings = self.config.train
        if self.progress.update < settings.max_updates:
            self.try_worst_batch()
        started = time.monotonic() - self.progress.wall_seconds
        with note_stop_signals() as stop, make_progress_bar(self.console) as bar:
            task = bar.add_task("train", total=settings.max_updates, completed=self.progress.update, note="")
            for batch in self._iter_batches():
                if self.progress.update >= settings.max_updates:
                    break
                with explain_out_of_memory(batch, self.config):
                    note = self.update(batch)
                self.progress.wall_seconds = time.monotonic() - started
                bar.update(task, completed=self.progress.update, note=note)
                if self.progress.update % settings.valid_every_updates == 0 or (
                    self.progress.update == settings.max_updates
                ):
                    self.validate_and_save()
                if stop:
                    self.save()
                    self.console.print(f"stopped at update {self.progress.update}; the same command goes on from there")
                    raise KeyboardInterrupt

    def run_dry(self, started: float) -> None:
        """Try the worst batch and one update, and say what the run would be; `started` is the monotonic time before."""
        self.try_worst_batch()
        batch = next(self._iter_batches())
        seconds = time.monotonic() - started
        with explain_out_of_memory(batch, self.config):
            self.update(batch)
        settings = self.config.train
        seconds_each = self.train_set.seconds
        plans = plan_epoch(seconds_each, settings.batch_seconds, seed=settings.seed, epoch=0, short_first=False)
        self.console.print(
            f"dry run: {count_parameters(self.model):,} parameters; {len(plans)} batches an epoch, "
            f"{settings.max_updates / len(plans):.1f} epochs; {seconds:.1f} s until the first update, which took "
            f"{time.monotonic() - started - seconds:.2f} s"
        )

    def try_worst_batch(self) -> None:
        """Forward and backward on the batch that takes most memory, at the slowest speed: to fail now, not in an hour.

        Leaves weights, optimizer and random states as they were. Raises UserError with the setting to change.
        """
        batch = load_worst_batch(self.train_set, self.config)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), explain_out_of_memory(batch, self.config):
            self.compute_losses(batch).total.backward()
        self.optimizer.zero_grad()

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

    def update(self, batch: Batch) -> str:
        """One optimizer update on `batch`; returns what the progress bar says of it."""
        settings, progress = self.config.train, self.progress
        rate = learning_rate(progress.update, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        strength = min(1.0, progress.update / max(1, self.config.augment.start_update))
        self.model.set_regularization(strength if self.config.augment.start_update else 1.0)
        with self._watch_update(progress.update + 1):
            losses = self._compute_keyed_losses(batch)
            num_tokens = max(1, int(batch.token_lengths.sum()))  # none where all of the batch is noise
            loss = losses.total / num_tokens
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm))
            is_finite = math.isfinite(norm) and math.isfinite(loss.item())
            if is_finite:
                self.optimizer.step()
        self.num_bad_updates = 0 if is_finite else self.num_bad_updates + 1
        if not is_finite:
            self._report_bad_update(batch)
        self.optimizer.zero_grad()
        progress.update += 1
        progress.epoch, progress.number = batch.plan.epoch, batch.plan.number + 1
        seconds = int(batch.waveform_lengths.sum()) / self.config.features.sample_rate
        progress.audio_seconds += seconds
        if self.base_controller:
            self.base_controller.step(progress.update, lambda: self.compute_losses(batch).total.item())
        self.average.step(progress.update)
        if progress.update % settings.log_every_updates == 0:
            num_terms = num_tokens + len(batch.ids)  # the decoder says the end of each utterance too
            attention = None if losses.attention is None else losses.attention.item() / num_terms
            self.metrics.append(
                update=progress.update,
                epoch=progress.epoch,
                train_loss=round(loss.item(), 5),
                **_name_losses("train", losses.ctc.item() / num_tokens, attention),
                **{
                    f"train_{name}_loss": round(part.item() / num_tokens, 5)
                    for name in ("intermediate", "consistency")
                    if (part := getattr(losses, name)) is not None
                },
                learning_rate=rate,
                gradient_norm=round(norm, 5),
                **self._describe_base(),
                audio_seconds=round(progress.audio_seconds, 1),
                wall_seconds=round(progress.wall_seconds, 2),
            )
        return f"epoch {progress.epoch} loss {loss.item():.3f}"

    def _compute_keyed_losses(self, batch: Batch) -> Losses:
        """The losses of a batch in this update.

        Dropout is keyed by seed and update alone, so that a resumed run draws what the uninterrupted one would.
        """
        torch.manual_seed(self.config.train.seed * 1_000_003 + self.progress.update)
        return self.compute_losses(batch)

    def _watch_update(self, update: int) -> AbstractContextManager[None]:
        if self.internals and update % self.config.train.log_every_updates == 0:
            return self.internals.watch(update)
        return nullcontext()

    def validate_and_save(self) -> None:
        """Validate, keep the checkpoint if it is among the best, draw the curves, save the state."""
        progress = self.progress
        with self.average.applied():
            found = self.validator.run(self.model, self.device, self.dtype)
            self._keep(found)
        wer, cer = 100 * found.words.rate, 100 * found.characters.rate
        self.metrics.append(
            update=progress.update,
            valid_loss=round(found.loss, 5),
            **_name_losses("valid", found.ctc_loss, found.attention_loss),
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
        draw_curves(read_metrics(self.metrics.path), self.experiment.folder / "curves.png", self.experiment.folder.name)
        if self.internals:
            draw_internals(read_metrics(self.internals.log.path), self.experiment.folder / "diagnostics.png")
        self.save()

    def save(self) -> None:
        """Write the state to resume from."""
        run = (self.model, self.optimizer, self.progress, self.config, self.inputs, self.average.tensors)
        save_state(self.experiment.state, *run)

    def _describe_base(self) -> dict[str, float]:
        """The rotary base for metrics.jsonl, where there is one that moves."""
        base = self.model.encoder.rotary_base
        return {} if base is None or base.mode == "fixed" else {"rotary_base": round(base.base, 3)}

    def _keep(self, found: Validation) -> None:
        """Write a checkpoint if it is among the best by validation WER, and remove the one that it beats."""
        notes = {
            "train": asdict(self.train_summary),
            "updates": self.progress.update,
            "audio_hours_seen": round(self.progress.audio_seconds / 3600, 3),
            "train_minutes": round(self.progress.wall_seconds / 60, 2),
            "parameters": count_parameters(self.model),
            "precision": str(self.dtype).removeprefix("torch."),
            "valid_wer": round(100 * found.words.rate, 4),
            "valid_loss": round(found.loss, 5),
            "init_from": self.progress.init_from,
        }
        entry = {"update": self.progress.update, "wer": found.words.rate, "loss": found.loss}
        ranked = sorted([*self.progress.best, entry], key=lambda kept: (kept["wer"], kept["loss"]))
        self.progress.best = ranked[: self.config.train.keep_checkpoints]
        if entry in self.progress.best:
            weights = {name: tensor.detach().cpu() for name, tensor in self.model.state_dict().items()}
            save_checkpoint(
                self.experiment.checkpoint(self.progress.update),
                Checkpoint(weights, self.config, self.tokenizer, self.progress.update, describe_environment(), notes),
            )
        for beaten in ranked[self.config.train.keep_checkpoints :]:
            self.experiment.checkpoint(beaten["update"]).unlink(missing_ok=True)

    def _iter_batches(self) -> Iterator[Batch]:
        settings, progress = self.config.train, self.progress
        plans = iter_batches(
            self.train_set.seconds,
            settings.batch_seconds,
            seed=settings.seed,
            short_first_epochs=settings.short_first_epochs,
            epoch=progress.epoch,
            number=progress.number,
        )
        return load_batches(self.train_set, plans, settings.num_workers)

    def _report_bad_update(self, batch: Batch) -> None:
        update, names = self.progress.update, " ".join(batch.ids[:8])
        path = self.experiment.bad_batch(update)
        save_bad_batch(path, batch, update)
        where = find_first_not_finite(self.model, lambda: self._compute_keyed_losses(batch).total)
        logger.warning(
            "update %d: loss or gradient is not finite, skipped; first in %s; utterances %s, saved in %s",
            *(update, where, names, path),
        )
        if self.num_bad_updates == MOST_BAD_UPDATES:
            raise UserError(
                f"{MOST_BAD_UPDATES} updates in a row were not finite (last utterances: {names}); "
                "lower train.learning_rate, or set train.precision = 'float32'"
            )


def _name_losses(split: str, ctc: float, attention: float | None) -> dict[str, float]:
    """The parts of the loss for metrics.jsonl; nothing where CTC is all of it."""
    if attention is None:
        return {}
    return {f"{split}_ctc_loss": round(ctc, 5), f"{split}_attention_loss": round(attention, 5)}
