"""Whether data keeps up with training: the same updates on batches that are ready, and on those being loaded."""

import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from audioroto.bench.measure import write_figures
from audioroto.config import Config
from audioroto.corpus.batches import iter_updates
from audioroto.corpus.loader import Batch, SpeechDataset, load_updates
from audioroto.model.asr import build_model
from audioroto.model.device import choose_device, choose_precision
from audioroto.train.distributed import ALONE
from audioroto.train.optimizer import make_optimizer
from audioroto.train.selection import preview_training
from audioroto.train.update import Updater

WARM_UPDATES = 6  # in which worker processes start, and load ahead as much as they may


@dataclass(frozen=True)
class LoadingCost:
    """Audio seconds a second with ready and with loaded batches, a round each, and what loading alone costs."""

    ready: list[float]
    loaded: list[float]
    share: float  # median over rounds of loaded over ready
    loader_milliseconds: float  # processor time of loading and perturbing, for each second of audio


def bench_loading(
    config: Config,
    train_dir: Path,
    tokenizer_path: Path | None,
    out_dir: Path,
    device: str,
    num_updates: int,
    num_rounds: int,
) -> LoadingCost:
    """Train on the same `num_updates` updates in turns from memory and through the loader, as the trainer does it.

    Writes figures.json and prints a table. Raises UserError where nothing is left to train on.
    """
    selection, _ = preview_training(train_dir, [], tokenizer_path, config)
    dataset = SpeechDataset(
        selection.utterances,
        selection.tokens,
        config.features.sample_rate,
        seed=config.train.seed,
        augment=config.augment,
    )
    settings, target = config.train, choose_device(device)
    plans = list(
        islice(
            iter_updates(
                dataset.seconds,
                settings.batch_seconds,
                micro_batch_seconds=settings.micro_batch_seconds,
                seed=settings.seed,
                short_first_epochs=0,
            ),
            WARM_UPDATES + 2 * num_updates,  # as many again at the end keep the workers busy for all that is measured
        )
    )
    measured = slice(WARM_UPDATES, WARM_UPDATES + num_updates)
    started = time.process_time()
    ready = [[dataset[plan] for plan in update] for update in plans[measured]]
    loader_seconds = time.process_time() - started
    audio_seconds = sum(int(batch.waveform_lengths.sum()) for update in ready for batch in update) / dataset.sample_rate

    model = build_model(config, max(config.text.vocab_size, *(max(row) + 1 for row in selection.tokens))).to(target)
    optimizer = make_optimizer(model, settings)
    updater = Updater(model, optimizer, config, target, choose_precision(settings.precision, target), ALONE)

    def run(updates: Iterable[list[Batch]]) -> float:
        """Seconds that the updates take; each waits for the device, because its loss is read."""
        started = time.perf_counter()
        for number, batches in enumerate(updates):
            updater.update(number, batches, sum(int(batch.token_lengths.sum()) for batch in batches))
        return time.perf_counter() - started

    rates: dict[str, list[float]] = {"ready": [], "loaded": []}
    run(ready[:WARM_UPDATES])
    for _ in range(num_rounds):
        rates["ready"].append(audio_seconds / run(ready))
        loading = load_updates(dataset, [list(update) for update in plans], settings.num_workers)
        run(islice(loading, WARM_UPDATES))
        rates["loaded"].append(audio_seconds / run(islice(loading, num_updates)))
        del loading  # ends its workers
    cost = LoadingCost(
        **rates,
        share=statistics.median(loaded / ready for ready, loaded in zip(*rates.values(), strict=True)),
        loader_milliseconds=1000 * loader_seconds / audio_seconds,
    )
    write_figures(
        out_dir / "figures.json",
        {**asdict(cost), "device": str(target), "audio_seconds": audio_seconds, "num_workers": settings.num_workers},
    )
    _print_cost(cost, settings.num_workers)
    return cost


def _print_cost(cost: LoadingCost, num_workers: int) -> None:
    table = Table("batches", "audio s/s, median", "share")
    table.add_row("ready", f"{statistics.median(cost.ready):,.0f}", "100 %")
    table.add_row(f"loaded by {num_workers}", f"{statistics.median(cost.loaded):,.0f}", f"{100 * cost.share:.0f} %")
    console = Console()
    console.print(table)
    console.print(f"loading costs {cost.loader_milliseconds:.2f} ms of processor time a second of audio")
