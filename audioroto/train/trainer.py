"""The training run: data, model, optimizer, resume, loop, save."""

import logging
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from itertools import chain, tee
from pathlib import Path

import torch
from rich.console import Console

from audioroto.config import Config, save_config
from audioroto.corpus.batches import BatchPlan, iter_updates
from audioroto.corpus.datadir import read_datadir, summarize
from audioroto.corpus.loader import Batch, SpeechDataset, load_updates
from audioroto.errors import UserError
from audioroto.files import one_at_a_time
from audioroto.model.asr import build_model, count_parameters
from audioroto.model.checkpoint import Checkpoint, describe_environment, save_checkpoint
from audioroto.model.device import choose_device, choose_precision
from audioroto.train.base_control import follow_loss
from audioroto.train.diagnose import explain_out_of_memory, load_worst_batch, plan_updates, save_bad_batch
from audioroto.train.distributed import ALONE, Processes
from audioroto.train.experiment import Experiment, make_progress_bar
from audioroto.train.initialize import choose_seed, choose_tokenizer, load_origin
from audioroto.train.internals import find_first_not_finite
from audioroto.train.interrupt import note_stop_signals
from audioroto.train.optimizer import make_optimizer
from audioroto.train.record import Record
from audioroto.train.running_average import RunningAverage
from audioroto.train.selection import (
    describe_shared_speakers,
    fingerprint,
    make_report,
    read_unspoken,
    select_utterances,
    write_dropped,
)
from audioroto.train.state import Progress, load_state, save_state
from audioroto.train.statistics import measure_statistics
from audioroto.train.tensorboard import require_tensorboard
from audioroto.train.update import Updater
from audioroto.train.utilization import measure_utilization
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
    processes: Processes = ALONE,
    console: Console,
) -> None:
    """Train a model on `train_dir`, choosing checkpoints by WER on `valid_dir`; goes on where an earlier call stopped.

    `init_from` is a model file to begin from, whose tokenizer is taken where `tokenizer_path` is None. A dry run stops
    after the trial of the worst batch and one update, and leaves nothing behind. `diagnostics` writes what goes on
    inside the model to diagnostics.jsonl and .png, `tensorboard` writes the metrics for TensorBoard too. `processes`
    share out each update; the folders must be the same for all of them, and the first alone writes.
    Raises KeyboardInterrupt after saving when it is asked to stop (Ctrl-C, SIGTERM), UserError for inputs it refuses.
    """
    if tensorboard:
        require_tensorboard()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as nowhere:
        paths = train_dir, valid_dir, tokenizer_path, nowhere if dry_run else exp_dir
        with one_at_a_time(paths[-1] if processes.first else nowhere, "training in"):
            trainer = Trainer(config, *paths, device=device, init_from=init_from, processes=processes, console=console)
            trainer.resume(restart)
            if trainer.record and diagnostics:
                trainer.record.keep_internals(trainer.optimizer)
            if trainer.record and tensorboard:
                trainer.record.show_on_tensorboard()
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
        processes: Processes = ALONE,
        console: Console,
    ) -> None:
        processes.refuse_too_many(config.train)
        self.config = config
        self.processes = processes
        self.console = console
        self.experiment = Experiment(Path(exp_dir))
        self.device = choose_device(device)
        self.dtype = choose_precision(config.train.precision, self.device)
        self.origin = load_origin(init_from) if init_from else None
        self.tokenizer = choose_tokenizer(tokenizer_path, self.origin)
        if self.origin:
            self.origin.refuse_unless_fit(config, self.tokenizer)
        with processes.first_goes_first():  # a data directory is given its durations when it is first read
            utterances = read_datadir(train_dir)
            self.validator = open_validation_set(valid_dir, self.tokenizer, config, processes)
        selection = select_utterances(utterances, self.tokenizer, config)
        console.print(make_report(selection, Path(train_dir)))
        if processes.first:
            write_dropped(selection, self.experiment.folder / "dropped.tsv")
        self.train_set = SpeechDataset(
            selection.utterances,
            selection.tokens,
            config.features.sample_rate,
            seed=config.train.seed,
            augment=config.augment,
        )
        self.unspoken = read_unspoken(selection, self.tokenizer, config)
        self.inputs = fingerprint(selection, self.tokenizer, self.train_set.surroundings_files, self.unspoken)
        self.train_summary = summarize(selection.utterances)
        others = self.validator.dataset.utterances
        shared = describe_shared_speakers(selection.utterances, others, Path(valid_dir))
        if shared and processes.first:
            logger.warning(shared)
        self.model = build_model(config, self.tokenizer.vocab_size).to(self.device)
        self.optimizer = make_optimizer(self.model, config.train)
        self.updater = Updater(self.model, self.optimizer, config, self.device, self.dtype, processes, self.unspoken)
        self.average = RunningAverage(self.model, config.train.average_decay)
        self.base_controller = follow_loss(self.model, config.position, reduce=processes.sum)
        self.progress = Progress()
        self.record: Record | None = None  # of the first process, from `resume` on
        console.print(
            f"{count_parameters(self.model):,} parameters, {self.tokenizer.vocab_size} tokens, "
            f"{self.device.type} in {str(self.dtype).removeprefix('torch.')}"
        )
        if self.unspoken:
            num_sentences, num_tokens = self.unspoken.num_sentences, len(self.unspoken.tokens)
            console.print(f"{num_sentences:,} sentences that nobody has spoken, {num_tokens:,} tokens")

    def resume(self, restart: bool) -> None:
        """Load the state that an interrupted run left; without one, or with `restart`, measure statistics and begin."""
        processes, state = self.processes, self.experiment.state
        if processes.sum([float(state.exists())])[0] not in (0, processes.count):
            raise UserError(f"{state} is not there for all processes: give an --exp-dir on a disk that they share")
        if state.exists() and not restart:
            run = (self.model, self.optimizer, self.config, self.inputs, self.average.tensors)
            with processes.first_goes_first():  # a damaged state is replaced by the one before it
                self.progress = load_state(state, *run)
            if self.origin:
                self.origin.refuse_unless_begun_from(self.progress.init_from, state)
            self.console.print(f"resumed at update {self.progress.update} of {self.config.train.max_updates}")
        else:
            if processes.first:
                if restart:
                    self.experiment.remove_earlier()
                save_config(self.config, self.experiment.folder / "config.toml")
            if self.origin:
                self.model.load_state_dict(self.origin.checkpoint.weights)  # with the statistics of features
                self.progress.init_from = self.origin.chain
            elif processes.first:
                measure_statistics(self.model, self.train_set)
            processes.share(self.model.state_dict().values())
            self.average.reset()
        self.train_set.seed = choose_seed(self.config.train.seed, self.progress.init_from)
        if self.unspoken:
            self.unspoken.seed = self.train_set.seed
        if processes.first:
            self.experiment.remove_unfinished()
            self.record = Record(self.experiment, self.model, self.progress.update, self.console)

    def run(self) -> None:
        """Update until the configured number is reached, validating and saving on the way."""
        settings = self.config.train
        if self.progress.update < settings.max_updates:
            self.try_worst_batch()
            if self.record and self.device.type == "cuda":
                self.record.utilization = measure_utilization(self.updater, self.train_set, self.progress)
        started = time.monotonic() - self.progress.wall_seconds
        with note_stop_signals() as stop, make_progress_bar(self.console) as bar:
            task = bar.add_task("train", total=settings.max_updates, completed=self.progress.update, note="")
            for plans, batches in self.iter_updates():
                if self.progress.update >= settings.max_updates:
                    break
                note = self.update(plans, batches)
                self.progress.wall_seconds = time.monotonic() - started
                bar.update(task, completed=self.progress.update, note=note)
                if self.progress.update % settings.valid_every_updates == 0 or (
                    self.progress.update == settings.max_updates
                ):
                    self.validate_and_save()
                elif self.progress.update % settings.save_every_updates == 0:
                    self.save()
                if self.processes.any(bool(stop)):
                    self.save()
                    self.console.print(f"stopped at update {self.progress.update}; the same command goes on from there")
                    self.processes.wait()  # for the first to have saved: torchrun ends all when one has left
                    raise KeyboardInterrupt

    def run_dry(self, started: float) -> None:
        """Try the worst batch and one update, and say what the run would be; `started` is the monotonic time before."""
        self.try_worst_batch()
        first_update = next(self.iter_updates())
        seconds = time.monotonic() - started
        self.update(*first_update)
        num_updates = len(plan_updates(self.train_set.seconds, self.config.train, epoch=0))
        self.console.print(
            f"dry run: {count_parameters(self.model):,} parameters; {num_updates} updates an epoch, "
            f"{self.config.train.max_updates / num_updates:.1f} epochs; {seconds:.1f} s until the first update, "
            f"which took {time.monotonic() - started - seconds:.2f} s"
        )

    def try_worst_batch(self) -> None:
        """Forward and backward on the batch that takes most memory, at the slowest speed: to fail now, not in an hour.

        Leaves weights, optimizer and random states as they were. Raises UserError with the setting to change.
        """
        batch = load_worst_batch(self.train_set, self.config)
        devices = [self.device] if self.device.type == "cuda" else []
        self.model.set_regularization(0.0)  # a block that is dropped takes no memory
        with torch.random.fork_rng(devices), explain_out_of_memory([batch], self.config):
            self.updater.compute_losses(batch).total.backward()
        self.optimizer.zero_grad()

    def update(self, plans: tuple[BatchPlan, ...], batches: list[Batch]) -> str:
        """One optimizer update; `batches` are those of `plans` that fall to this process. Returns a progress note."""
        settings, progress = self.config.train, self.progress
        num_utterances = sum(len(plan.indices) for plan in plans)
        num_tokens = sum(len(self.train_set.tokens[index]) for plan in plans for index in plan.indices)
        record = self.record if (progress.update + 1) % settings.log_every_updates == 0 else None
        with (
            explain_out_of_memory(batches, self.config),
            record.watch(progress.update + 1) if record else nullcontext(),
        ):
            result = self.updater.update(progress.update, batches, num_tokens)
        progress.num_bad_updates = progress.num_bad_updates + 1 if result.skipped else 0
        if result.skipped:
            self._report_bad_update(result.bad_batches)
        progress.update += 1
        progress.epoch, progress.number = plans[0].epoch, plans[0].number + 1
        progress.audio_seconds += result.audio_seconds
        if self.base_controller:
            self.base_controller.step(
                progress.update, lambda: math.fsum(self.updater.compute_losses(b).total.item() for b in batches)
            )
        self.average.step(progress.update)
        if record:
            record.add_update(progress, result, num_tokens, num_utterances)
        return f"epoch {progress.epoch} loss {result.losses['total'] / num_tokens:.3f}"

    def iter_updates(self) -> Iterator[tuple[tuple[BatchPlan, ...], list[Batch]]]:
        """The updates still to come, each with those of its parts, loaded, that fall to this process."""
        settings, progress, processes = self.config.train, self.progress, self.processes
        plans, again = tee(
            iter_updates(
                self.train_set.seconds,
                settings.batch_seconds,
                micro_batch_seconds=settings.micro_batch_seconds,
                seed=settings.seed,
                short_first_epochs=settings.short_first_epochs,
                epoch=progress.epoch,
                number=progress.number,
            )
        )
        own = (list(update[processes.rank :: processes.count]) for update in again)
        return zip(plans, load_updates(self.train_set, own, settings.num_workers), strict=True)

    def validate_and_save(self) -> None:
        """Validate, keep the checkpoint if it is among the best, draw the curves, save the state."""
        with self.average.applied():
            found = self.validator.run(self.model, self.device, self.dtype)
            if self.record:
                self._keep(found)
        if self.record:
            self.record.add_validation(self.progress, found)
        self.save()

    def save(self) -> None:
        """Write the state to resume from."""
        if self.processes.first:
            run = (self.model, self.optimizer, self.progress, self.config, self.inputs, self.average.tensors)
            save_state(self.experiment.state, *run)

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

    def _report_bad_update(self, batches: list[Batch]) -> None:
        """Keep `batches`, the parts of this process that may be to blame; stop after too many such updates in a row."""
        blamed = self.processes.gather([name for batch in batches for name in batch.ids])
        update, names = self.progress.update + 1, " ".join(list(chain.from_iterable(blamed))[:8])
        for batch in batches:
            path = self.experiment.bad_batch(update, batch.plan.part)
            save_bad_batch(path, batch, update)
            logger.warning(
                "update %d: loss or gradient is not finite, skipped; first in %s; utterances %s, saved in %s",
                *(update, self._find_first_not_finite(batch), names, path),
            )
        if self.progress.num_bad_updates == MOST_BAD_UPDATES:
            raise UserError(
                f"{MOST_BAD_UPDATES} updates in a row were not finite (last utterances: {names}); "
                "lower train.learning_rate, or set train.precision = 'float32'"
            )

    def _find_first_not_finite(self, batch: Batch) -> str:
        """The module that breaks first over `batch`, dropped out as it was in this update."""
        return find_first_not_finite(
            self.model, lambda: self.updater.compute_drawn_losses(self.progress.update, batch).total
        )
