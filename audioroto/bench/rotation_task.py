"""What a rotation can express: attention that needs a learned plane, against free matrices of as many numbers."""

import statistics
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.bench.rotation_claim import Claim
from audioroto.nn.rotation import Rotation, apply_rotary, random_rotation, rotary_angles, rotary_frequencies

HEAD_WIDTH = 32
NUM_FRAMES = 24
NUM_SEQUENCES = 4
BASE = 100.0  # most pairs of channels turn visibly within the sequence
NUM_SEEDS = 7
NUM_UPDATES = 300
LEARNING_RATES = (3e-3, 1e-2, 3e-2)
RANK = 5  # of the small free matrices: 4 · RANK · K numbers are about as many as Givens and R have


class Student(nn.Module):
    """Attention scores of normalised queries and keys: gains, one thing that is learned, rotary. Seeds in parallel.

    `kind`: `gains` alone, `givens`, `orthogonal` or `combined` for one rotation tied across queries and keys,
    `low_rank` for W_q and W_k as the identity plus a product of thin matrices, `free` for W_q and W_k in full.
    """

    def __init__(self, kind: str, num_seeds: int) -> None:
        super().__init__()
        self.gains = nn.Parameter(torch.ones(2, num_seeds, 1, 1, HEAD_WIDTH))
        self.rotation: Rotation | None = None
        self.weights: nn.Parameter | None = None
        self.thin: nn.ParameterList | None = None
        if kind in ("givens", "orthogonal", "combined"):
            self.rotation = Rotation(
                HEAD_WIDTH,
                (num_seeds,),
                planes="none" if kind == "orthogonal" else "butterfly",
                orthogonal="none" if kind == "givens" else "cayley",
            )
        elif kind == "low_rank":
            narrow = torch.randn(2, num_seeds, HEAD_WIDTH, RANK) / HEAD_WIDTH**0.5
            self.thin = nn.ParameterList([narrow, torch.zeros(2, num_seeds, RANK, HEAD_WIDTH)])
        elif kind == "free":
            self.weights = nn.Parameter(random_rotation(HEAD_WIDTH, (2, num_seeds)))

    def forward(self, matched: Tensor) -> Tensor:
        """Queries and keys (2, seeds, B, T, K), normalised → scores (seeds, B, T, T)."""
        matched = matched * self.gains
        matrices = self.matrices()  # (…, seeds, K, K)
        if matrices is not None:
            matched = matched @ matrices.unsqueeze(-3)
        return rotary_scores(matched)

    def matrices(self) -> Tensor | None:
        """What queries and keys are multiplied with, (seeds, K, K) if tied, (2, seeds, K, K) if not."""
        if self.rotation is not None:
            return self.rotation.matrix()
        if self.thin is not None:
            return torch.eye(HEAD_WIDTH) + self.thin[0] @ self.thin[1]
        return self.weights


STUDENTS = ("gains", "givens", "orthogonal", "combined", "low_rank", "free")


def measure_power(num_seeds: int = NUM_SEEDS, num_updates: int = NUM_UPDATES) -> Claim:
    """Loss of each student on two teachers: a hidden rotation tied across q and k, and two hidden free matrices.

    The loss is the divergence of the student's attention from the teacher's in nats, on sequences not trained on, at
    the best of the learning rates for each student. Every student normalises q and k and has gains for each channel.
    """
    figures: dict[str, dict[str, list[float]]] = {}
    rows = []
    for teacher, draw in (("hidden rotation", _draw_rotation_teacher), ("hidden matrices", _draw_matrix_teacher)):
        figures[teacher] = {}
        for kind in STUDENTS:
            runs = [train_student(kind, draw, num_seeds, num_updates, rate) for rate in LEARNING_RATES]
            losses = min(runs, key=statistics.median)
            figures[teacher][kind] = losses
            median = statistics.median(losses)
            numbers = count_numbers(kind)
            rows.append(
                (f"{teacher}: {kind}, {numbers:,} numbers", f"{median:.3f} ({min(losses):.3f}–{max(losses):.3f}) nats")
            )
    reading = (
        f"Shows: loss after {num_updates} updates, median (range) of {num_seeds} seeds, of students that all normalise "
        "and scale q and k. The first teacher is a rotation, which favours rotations; the second is none, and favours "
        "matrices. Does not show: which of the two speech resembles; that is the ablation's question."
    )
    return Claim("representational power", rows, reading, {"updates": num_updates, "losses": figures})


def train_student(
    kind: str, draw_teacher: Callable[[int], Tensor], num_seeds: int, num_updates: int, learning_rate: float
) -> list[float]:
    """The final loss of each seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # teachers and sequences are the same for every student
        teacher = draw_teacher(num_seeds)  # (2, seeds, K, K)
        gains = torch.exp(0.3 * torch.randn(2, num_seeds, 1, 1, HEAD_WIDTH))
        test = _draw_sequences(num_seeds, 16 * NUM_SEQUENCES)
        student = Student(kind, num_seeds)
        optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)

        def divergences(matched: Tensor) -> Tensor:
            wanted = rotary_scores((matched * gains) @ teacher.unsqueeze(-3)).log_softmax(-1)
            found = student(matched).log_softmax(-1)
            return (
                functional.kl_div(found, wanted, log_target=True, reduction="none").sum(-1).mean((-1, -2))
            )  # (seeds,)

        torch.manual_seed(1)
        for _ in range(num_updates):
            optimizer.zero_grad()
            divergences(_draw_sequences(num_seeds, NUM_SEQUENCES)).sum().backward()  # each seed has its own parameters
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            return divergences(test).tolist()


def count_numbers(kind: str) -> int:
    """Learned numbers of a student beside its gains."""
    student = Student(kind, num_seeds=1)
    return sum(parameter.numel() for parameter in student.parameters()) - student.gains.numel()


def rotary_scores(matched: Tensor) -> Tensor:
    """Queries and keys (2, seeds, B, T, K) → scores after rotary (seeds, B, T, T)."""
    turned = apply_rotary(matched, *rotary_angles(matched.shape[-2], rotary_frequencies(HEAD_WIDTH, BASE)))
    return turned[0] @ turned[1].mT / HEAD_WIDTH**0.5


def _draw_sequences(num_seeds: int, num_sequences: int) -> Tensor:
    matched = torch.randn(2, num_seeds, num_sequences, NUM_FRAMES, HEAD_WIDTH)
    return functional.normalize(matched, dim=-1) * HEAD_WIDTH**0.5


def _draw_rotation_teacher(num_seeds: int) -> Tensor:
    return random_rotation(HEAD_WIDTH, (num_seeds,)).expand(2, -1, -1, -1)


def _draw_matrix_teacher(num_seeds: int) -> Tensor:
    return torch.randn(2, num_seeds, HEAD_WIDTH, HEAD_WIDTH) / HEAD_WIDTH**0.5
