"""What a training step costs: audio a second, memory, and how much of the machine's matrix products it uses."""

import shlex
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase

import torch
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor

from audioroto.bench.measure import (
    call_in_fresh_process,
    clock_name,
    describe_bytes,
    time_in_turns,
    write_figures,
)
from audioroto.bench.peers import PeerModel
from audioroto.config import Config, load_config
from audioroto.errors import UserError
from audioroto.model.asr import AsrModel, build_model, count_parameters
from audioroto.model.device import choose_device, choose_precision
from audioroto.model.memory import PeakMemory
from audioroto.train.optimizer import make_optimizer
from audioroto.train.utilization import count_flops, make_product

TOKENS_PER_SECOND = 3.0
MEMORY_LIMIT_SECONDS = 600.0


@dataclass(frozen=True)
class BatchShape:
    """A synthetic batch: utterances of evenly spread lengths."""

    num_utterances: int = 8
    min_seconds: float = 4.0
    max_seconds: float = 15.0

    @property
    def seconds(self) -> list[float]:
        """The length of each utterance."""
        steps = max(1, self.num_utterances - 1)
        span = self.max_seconds - self.min_seconds
        return [self.max_seconds - span * number / steps for number in range(self.num_utterances)]


@dataclass(frozen=True)
class StepCost:
    """Cost of a training step of one configuration."""

    name: str
    parameters: int
    step_seconds: list[float]  # a round each
    audio_seconds_per_second: float  # at the median step
    flops: int  # of matrix products and convolutions, forward and backward
    product_share: float  # flops a second at the median step over those of large matrix products in the same dtype
    memory_bytes: int | None  # peak above the process after imports; None where it could not be measured
    ratio: float  # median over rounds of this step's time over the first configuration's in the same round
    ratio_quartiles: tuple[float, float]


def bench_step(
    names: list[str],
    configs: list[Config],
    shape: BatchShape,
    out_dir: Path,
    device: str,
    num_rounds: int,
    peers: list[str] | None = None,
) -> list[StepCost]:
    """Measure the training step of configurations that take turns in one process; write figures.json, print a table.

    The first configuration is what the others are compared with, and the `peers` (`audioroto.bench.peers`), which
    train on its batch in its precision, all by AdamW. Memory is measured in a process of its own each.
    """
    target = choose_device(device)
    if peers:  # the optimizer is no part of what is compared with them
        configs = [
            config.model_copy(update={"train": config.train.model_copy(update={"optimizer": "adamw"})})
            for config in configs
        ]
    own_peers = [None] * len(configs) + list(peers or [])
    names = names + [f"Conformer of {peer}, front end ×4" for peer in peers or []]
    configs = configs + configs[:1] * len(peers or [])
    dtypes = [choose_precision(config.train.precision, target) for config in configs]
    steps = [make_step(config, shape, target, peer) for config, peer in zip(configs, own_peers, strict=True)]
    flops = [count_flops(step) for step in steps]
    products = {dtype: make_product(target, dtype) for dtype in dtypes}
    tasks: dict[str, Callable[[], object]] = {str(dtype): product for dtype, (product, _) in products.items()}
    tasks.update({str(number): step for number, step in enumerate(steps)})
    seconds = time_in_turns(tasks, num_rounds, target)
    rates = {dtype: num_flops / statistics.median(seconds[str(dtype)]) for dtype, (_, num_flops) in products.items()}
    costs = []
    for number, (name, config, peer) in enumerate(zip(names, configs, own_peers, strict=True)):
        own, first = seconds[str(number)], seconds["0"]
        ratios = [mine / theirs for mine, theirs in zip(own, first, strict=True)]
        median = statistics.median(own)
        quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
        memory = call_in_fresh_process(measure_memory, config, shape, device, peer, limit_seconds=MEMORY_LIMIT_SECONDS)
        cost = StepCost(
            name=name,
            parameters=count_parameters(build(config, peer)),
            step_seconds=[round(spent, 4) for spent in own],
            audio_seconds_per_second=sum(shape.seconds) / median,
            flops=flops[number],
            product_share=flops[number] / median / rates[dtypes[number]],
            memory_bytes=memory if isinstance(memory, int) else None,
            ratio=statistics.median(ratios),
            ratio_quartiles=(quartiles[0], quartiles[2]),
        )
        costs.append(cost)
    figures = {
        "batch": {**asdict(shape), "audio_seconds": sum(shape.seconds)},
        "device": str(target),
        "clock": clock_name(target),
        "product_flops_per_second": {str(dtype).removeprefix("torch."): rate for dtype, rate in rates.items()},
        "steps": [asdict(cost) for cost in costs],
    }
    write_figures(out_dir / "figures.json", figures)
    products_shown = ", ".join(
        f"{rate / 1e9:,.0f} GFLOP/s in {str(dtype).removeprefix('torch.')}" for dtype, rate in rates.items()
    )
    print_costs(costs, shape, f"{target}, {clock_name(target)}, matrix products {products_shown}")
    return costs


def read_variants(paths: list[Path], overrides: list[str], against: list[str]) -> tuple[list[str], list[Config]]:
    """The configuration of files and overrides, and one for each text of further overrides `section.key=value …`."""
    names = ["configured", *against]
    further: list[list[str]] = [[]]
    for text in against:
        try:
            further.append(shlex.split(text))
        except ValueError as error:
            raise UserError(f"--against {text}: {error}") from None
    configs = [load_config(paths, [*overrides, *more]) for more in further]
    if any(config.unspoken.text for config in configs):
        raise UserError("unspoken.text is not measured here; leave it out")
    return names, configs


def build(config: Config, peer: str | None) -> AsrModel | PeerModel:
    """The model that is measured."""
    return PeerModel(peer, config, config.text.vocab_size) if peer else build_model(config, config.text.vocab_size)


def make_step(config: Config, shape: BatchShape, device: torch.device, peer: str | None = None) -> Callable[[], float]:
    """A whole training step, as the trainer makes it, on a batch of noise; returns the loss a token."""
    model = build(config, peer).to(device).train()
    optimizer = make_optimizer(model, config.train)  # at rate 0: every step does the same
    dtype = choose_precision(config.train.precision, device)
    waveforms, waveform_lengths, tokens, token_lengths = make_batch(config, shape, device)
    seeds = list(range(shape.num_utterances))

    def step() -> float:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            losses = model.loss(waveforms, waveform_lengths, tokens, token_lengths, augment_seeds=seeds)
        loss = losses.total / token_lengths.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def make_batch(config: Config, shape: BatchShape, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noise (B, S) and random tokens (B, U) with their lengths (B,), on the device."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([round(seconds * config.features.sample_rate) for seconds in shape.seconds])
    waveforms = 0.1 * torch.randn(shape.num_utterances, int(lengths.max()), generator=generator)  # (B, S)
    waveforms *= torch.arange(waveforms.shape[1]) < lengths[:, None]
    token_lengths = torch.tensor([max(1, round(seconds * TOKENS_PER_SECOND)) for seconds in shape.seconds])
    size = (shape.num_utterances, int(token_lengths.max()))
    tokens = torch.randint(3, config.text.vocab_size, size, generator=generator)  # (B, U)
    return waveforms.to(device), lengths.to(device), tokens.to(device), token_lengths.to(device)


def measure_memory(config: Config, shape: BatchShape, device_name: str, peer: str | None = None) -> int:
    """Peak bytes of two steps above the process after imports: weights, gradients, optimizer and activations."""
    device = choose_device(device_name)
    if peer:
        build(config, peer)  # imports what belongs to the peer
    memory = PeakMemory(device)
    step = make_step(config, shape, device, peer)
    step()
    step()
    return memory.bytes()


def print_costs(costs: list[StepCost], shape: BatchShape, machine: str) -> None:
    """The table on the terminal."""
    console = Console()
    console.print(
        f"training step: {shape.num_utterances} × {shape.min_seconds:g} to {shape.max_seconds:g} s; {machine}"
    )
    table = Table("", "numbers", "step", "audio s/s", "GFLOP", "share", "memory", Column("time to A's", no_wrap=True))
    for letter, cost in zip(ascii_uppercase, costs, strict=False):
        console.print(f"{letter}: {cost.name}", markup=False, highlight=False)
        low, high = cost.ratio_quartiles
        table.add_row(
            letter,
            f"{cost.parameters / 1e6:.2f} M",
            f"{1000 * statistics.median(cost.step_seconds):,.0f} ms",
            f"{cost.audio_seconds_per_second:,.0f}",
            f"{cost.flops / 1e9:,.0f}",
            f"{100 * cost.product_share:.0f} %",
            "–" if cost.memory_bytes is None else describe_bytes(cost.memory_bytes),
            f"{cost.ratio:.3f} ({low:.3f}–{high:.3f})" if letter != "A" else "1",
        )
    console.print(table)
    console.print(
        "share: of the rate of large matrix products; memory: peak above the process after imports; time to A's: "
        "median (quartiles) over rounds in which all take their turn"
    )
