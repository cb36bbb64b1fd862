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
from audioroto.corpus.loader import LOADED_AHEAD, Batch, SpeechDataset, load_updates
from audioroto.errors import UserError
from audioroto.model.asr import build_model
from audioroto.model.device import choose_device, choose_precision
from audioroto.train.distributed import ALONE
from audioroto.train.optimizer import make_optimizer
from audioroto.train.selection import preview_training, refuse_nothing
from audioroto.train.update import Updater

PASSED_UPDATES = 200  # loaded and not trained on: in the midst of a run most noises are at hand
WARM_UPDATES = 6  # in which workers come to load ahead as much as they may


@dataclass(frozen=True)
class LoadingCost:
    """Audio seconds a second with ready and with loaded batches, a round each, and what loading alone costs."""

    ready: list[float]
    loaded: list[float]
    share: float  # median over rounds of loaded over ready
    loader_milliseconds: float  # processor time of loading and perturbing a second of audio: the least of the rounds


def bench_loading(
    config: Config,
    train_dir: Path,
    tokenizer_path: Path | None,
    out_dir: Path,
    device: str,
    num_updates: int,
    num_rounds: int,
) -> LoadingCost:
    """Train on the same updates in turns from memory and through the loader, as in the midst of a run.

    Writes figures.json and prints a table. Raises UserError where nothing is left to train on.
    """
    if config.unspoken.text:
        raise UserError("unspoken.text is not measured here; leave it out")
    selection, _ = preview_training(train_dir, [], tokenizer_path, config)
    refuse_nothing(selection)
    dataset = SpeechDataset(
        selection.utterances,
        selection.tokens,
        config.features.sample_rate,
        seed=config.train.seed,
        augment=config.augment,
    )
    settings, target = config.train, choose_device(device)
    num_warm = max(WARM_UPDATES, 2 * LOADED_AHEAD * settings.num_workers)  # until what was loaded meanwhile is used up
    round_updates = num_warm + num_updates
    plans = list(
        islice(
            iter_updates(
                dataset.seconds,
                settings.batch_seconds,
                micro_batch_seconds=settings.micro_batch_seconds,
                seed=settings.seed,
                short_first_epochs=0,
            ),
            PASSED_UPDATES + (num_rounds + 1) * round_updates,  # one round more keeps the workers busy to the end
        )
    )
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
    loader_seconds = []
    loading = load_updates(dataset, [list(update) for update in plans], settings.num_workers)
    next(islice(loading, PASSED_UPDATES - 1, None))
    for number in range(num_rounds):
        begin = PASSED_UPDATES + number * round_updates
        started = time.process_time()
        ready = [[dataset[plan] for plan in update] for update in plans[begin : begin + round_updates]]
        spent = time.process_time() - started
        loader_seconds.append(spent / _audio_seconds(ready, dataset.sample_rate))
        audio_seconds = _audio_seconds(ready[num_warm:], dataset.sample_rate)
        run(ready[:num_warm])
        rates["ready"].append(audio_seconds / run(ready[num_warm:]))
        run(islice(loading, num_warm))
        rates["loaded"].append(audio_seconds / run(islice(loading, num_updates)))
    cost = LoadingCost(
        **rates,
        share=statistics.median(loaded / ready for ready, loaded in zip(*rates.values(), strict=True)),
        loader_milliseconds=1000 * min(loader_seconds),
    )
    write_figures(
        out_dir / "figures.json",
        {**asdict(cost), "device": str(target), "updates": num_updates, "num_workers": settings.num_workers},
    )
    _print_cost(cost, settings.num_workers)
    return cost


def _audio_seconds(updates: Iterable[list[Batch]], sample_rate: int) -> float:
    return sum(int(batch.waveform_lengths.sum()) for update in updates for batch in update) / sample_rate


def _print_cost(cost: LoadingCost, num_workers: int) -> None:
    table = Table("batches", "audio s/s, median", "share")
    table.add_row("ready", f"{statistics.median(cost.ready):,.0f}", "100 %")
    table.add_row(f"loaded by {num_workers}", f"{statistics.median(cost.loaded):,.0f}", f"{100 * cost.share:.0f} %")
    console = Console()
    console.print(table)
    console.print(f"loading costs {cost.loader_milliseconds:.2f} ms of processor time a second of audio")
