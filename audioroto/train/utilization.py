"""How much of what a device can compute a training run uses: model FLOP utilisation (arXiv 2204.02311)."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from audioroto.corpus.loader import SpeechDataset
from audioroto.train.diagnose import plan_updates
from audioroto.train.state import Progress
from audioroto.train.update import Updater

MATRIX_SIZE = {"cpu": 1536, "cuda": 8192}  # of the square matrices whose product says what the machine can do
MATRIX_PRODUCTS = 4
ROUNDS = 5


@dataclass
class Utilization:
    """What the audio of a run takes, what the devices can give, and how far the run was when last looked at."""

    flops_per_audio_second: float
    device_flops_per_second: float  # in large matrix products, of all processes together
    audio_seconds: float
    wall_seconds: float

    def since_last(self, progress: Progress) -> float:
        """The share of the devices' rate that was used since the last call, or since the beginning; 0.4 is 40 %."""
        audio_seconds = progress.audio_seconds - self.audio_seconds
        wall_seconds = max(1e-9, progress.wall_seconds - self.wall_seconds)
        self.audio_seconds, self.wall_seconds = progress.audio_seconds, progress.wall_seconds
        return audio_seconds * self.flops_per_audio_second / wall_seconds / self.device_flops_per_second


def measure_utilization(updater: Updater, dataset: SpeechDataset, progress: Progress) -> Utilization:
    """Count what a batch of ordinary length takes, forward and backward, and time the device's matrix products.

    Leaves gradients at nothing and random states as they were.
    """
    config, device = updater.config, updater.device
    plans = [plan for update in plan_updates(dataset.seconds, config.train, epoch=1) for plan in update]
    plans.sort(key=lambda plan: max(dataset.seconds[index] for index in plan.indices))
    batch = dataset[plans[len(plans) // 2]]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        flops = count_flops(lambda: updater.compute_losses(batch).total.backward())
        product_rate = measure_product_rate(device, updater.dtype)
    updater.optimizer.zero_grad()
    audio_seconds = int(batch.waveform_lengths.sum()) / dataset.sample_rate
    return Utilization(
        flops_per_audio_second=flops / audio_seconds,
        device_flops_per_second=product_rate * updater.processes.count,
        audio_seconds=progress.audio_seconds,
        wall_seconds=progress.wall_seconds,
    )


def count_flops(step: Callable[[], object]) -> int:
    """FLOPs of the matrix products and convolutions of a step, forward and backward."""
    # Note: the counter knows no fused attention of the CPU; as plain products it is counted like any other.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def make_product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """A few products of large square matrices, and their FLOPs: what this machine can do at most."""
    size = MATRIX_SIZE[device.type]
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))

    def multiply() -> None:
        for _ in range(MATRIX_PRODUCTS):
            left @ right

    return multiply, MATRIX_PRODUCTS * 2 * size**3


def measure_product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs a second of large matrix products: the median of a few rounds after one to warm up."""
    multiply, flops = make_product(device, dtype)
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        multiply()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return flops / statistics.median(seconds[1:])
