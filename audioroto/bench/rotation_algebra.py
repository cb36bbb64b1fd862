"""What can be measured of a rotation without speech: symmetry, stability through layers, cost."""

import math
import statistics
from collections.abc import Callable

import torch
from torch import Tensor, nn

from audioroto.bench.measure import clock_name, time_in_turns
from audioroto.bench.rotation_claim import Claim
from audioroto.nn.rotation import Rotation, apply_rotary, givens_rounds, rotary_angles, rotary_frequencies

HEAD_WIDTH = 64
DEPTHS = (1, 12, 48)
WIDTHS = (32, 64, 128, 256)


def measure_symmetry(num_frames: int = 256) -> Claim:
    """Scores of queries and keys of unit norm when both are turned by one rotation, or by one matrix that is none.

    Then before rotary, where a turn of both does change the scores, and must leave them a function of distance alone.
    """
    generator = torch.Generator().manual_seed(0)
    queries, keys = nn.functional.normalize(torch.randn(2, num_frames, HEAD_WIDTH, generator=generator), dim=-1)
    rotation = make_random_rotation(HEAD_WIDTH).matrix().detach()
    other = torch.randn(HEAD_WIDTH, HEAD_WIDTH, generator=generator) / HEAD_WIDTH**0.5  # keeps norms in the mean
    scores = queries @ keys.T  # (T, T)
    figures = {
        "rotation": _largest(queries @ rotation @ (keys @ rotation).T - scores),
        "other_matrix": _largest(queries @ other @ (keys @ other).T - scores),
        "before_rotary": _largest(_rotary_scores(queries @ rotation, keys @ rotation) - _rotary_scores(queries, keys)),
        "shifted": _largest(
            _rotary_scores(queries @ rotation, keys @ rotation, offset=100_000)
            - _rotary_scores(queries @ rotation, keys @ rotation)
        ),
    }
    rows = [
        ("largest change of a score, q and k turned together", f"{figures['rotation']:.1e}"),
        ("… by a random matrix instead", f"{figures['other_matrix']:.1e}"),
        ("… by the rotation before rotary", f"{figures['before_rotary']:.1e}"),
        ("… which a shift of all positions by 100,000 changes by", f"{figures['shifted']:.1e}"),
    ]
    reading = (
        "Shows: a rotation common to q and k alone changes nothing (float32), a matrix does; before rotary it changes "
        "scores and leaves them relative. Does not show: that a recogniser gains by it. What cancels cannot help."
    )
    return Claim("rotational symmetry", rows, reading, figures)


def measure_stability(num_updates: int = 200, depths: tuple[int, ...] = DEPTHS) -> Claim:
    """Norms and gradients through a product of learned matrices, rotations against unconstrained ones.

    Both start from the same rotations and learn the same thing, a hidden rotation behind noise, with the same AdamW.
    """
    figures: dict[str, dict[str, dict[str, float]]] = {"rotation": {}, "unconstrained": {}}
    rows = []
    for depth in depths:
        for name in figures:
            figures[name][str(depth)] = found = _train_stack(name == "unconstrained", depth, num_updates)
            rows.append(
                (
                    f"{depth} layers, {name}: largest norm drift · gradient that passes",
                    f"{found['norm_drift']:.1e} · {found['smallest_gradient']:.2f}–{found['largest_gradient']:.2f}",
                )
            )
    reading = (
        f"Shows: after {num_updates} updates norms and gradients pass unchanged through rotations, through "
        "free matrices as far as stated. Does not show: the same of an encoder, whose residual branches and norms hold "
        "free matrices too; this product of bare matrices is the hardest case."
    )
    return Claim("stable training: depth", rows, reading, {"updates": num_updates, **figures})


def measure_cost(widths: tuple[int, ...] = WIDTHS, num_frames: int = 3000, num_rounds: int = 5) -> Claim:
    """Time to turn `num_frames` vectors by a butterfly of Givens planes, in four ways that give the same."""
    figures: dict[str, dict[str, float]] = {}
    rows = []
    for width in widths:
        with torch.no_grad():
            seconds = time_in_turns(make_cost_tasks(width, num_frames), num_rounds)
        figures[str(width)] = medians = {name: statistics.median(spent) for name, spent in seconds.items()}
        times = " · ".join(f"{1000 * spent:.3g}" for spent in medians.values())
        rows.append((f"K = {width}: rounds + product · rounds on frames · K×K matrices · product", f"{times} ms"))
    reading = (
        f"Shows: {clock_name()} for {num_frames} vectors, inference. Rounds on the identity and one dense product are "
        "what audioroto does. Does not show: the cost in a training step, which 'audioroto bench train' measures."
    )
    return Claim("cost", rows, reading, {"frames": num_frames, "clock": clock_name(), "seconds": figures})


def make_cost_tasks(width: int, num_frames: int) -> dict[str, Callable[[], Tensor]]:
    """The same butterfly of Givens rotations applied to the same frames, in four ways."""
    rotation = make_random_rotation(width, orthogonal=False)
    frames = torch.randn(num_frames, width)  # (T, K)
    composed = rotation.matrix().detach()
    rounds = givens_rounds(width, "butterfly")  # (N, K)
    channels = torch.arange(width)
    sides: list[tuple[Tensor, Tensor, Tensor]] = []
    planes: list[tuple[int, int, float]] = []
    for partners, angles in zip(rounds, rotation.angles.detach().view(len(rounds), -1), strict=True):
        lows = channels[channels < partners]
        cosine, sine = torch.ones(width), torch.zeros(width)
        cosine[lows] = cosine[partners[lows]] = angles.cos()
        sine[lows], sine[partners[lows]] = -angles.sin(), angles.sin()
        sides.append((partners, cosine, sine))
        planes += zip(lows.tolist(), partners[lows].tolist(), angles.tolist(), strict=True)

    def turn_frames() -> Tensor:
        turned = frames
        for partners, cosine, sine in sides:
            turned = torch.addcmul(turned * cosine, turned[:, partners], sine)
        return turned

    def multiply_planes() -> Tensor:
        product = torch.eye(width)
        for low, high, angle in planes:
            plane = torch.eye(width)
            plane[low, low] = plane[high, high] = math.cos(angle)
            plane[low, high], plane[high, low] = math.sin(angle), -math.sin(angle)
            product = product @ plane
        return frames @ product

    return {
        "composed": lambda: frames @ rotation.matrix(),
        "on_frames": turn_frames,
        "matrices": multiply_planes,
        "product": lambda: frames @ composed,
    }


def make_random_rotation(width: int, orthogonal: bool = True) -> Rotation:
    """A rotation as training might leave it: random angles and, with `orthogonal`, a random R."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        rotation = Rotation(width, orthogonal="cayley" if orthogonal else "none")
        for parameter in rotation.parameters():
            nn.init.normal_(parameter, std=0.5)
    return rotation


class _Product(nn.Module):
    """x · P_1 · … · P_L, of rotations or of free matrices that start as the same rotations."""

    def __init__(self, free: bool, depth: int) -> None:
        super().__init__()
        self.rotation = Rotation(HEAD_WIDTH, (depth,))
        self.free = nn.Parameter(self.rotation.matrix().detach().clone()) if free else None

    def forward(self, inputs: Tensor) -> Tensor:
        for matrix in self.rotation.matrix() if self.free is None else self.free:
            inputs = inputs @ matrix
        return inputs


def _train_stack(free: bool, depth: int, num_updates: int) -> dict[str, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(depth)
        stack = _Product(free, depth)
        target = Rotation(HEAD_WIDTH).matrix().detach()
        optimizer = torch.optim.AdamW([p for p in stack.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.0)
        losses = []
        for _ in range(num_updates):
            inputs = torch.randn(64, HEAD_WIDTH)
            wanted = inputs @ target + 0.5 * torch.randn(64, HEAD_WIDTH)
            loss = nn.functional.mse_loss(stack(inputs), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        inputs = torch.randn(512, HEAD_WIDTH, requires_grad=True)
        outputs = stack(inputs)
        gradients = torch.randn_like(outputs)
        (arrived,) = torch.autograd.grad(outputs, inputs, gradients)
    drift = (outputs.detach().norm(dim=-1) / inputs.detach().norm(dim=-1) - 1).abs()
    passed = arrived.norm(dim=-1) / gradients.norm(dim=-1)
    return {
        "norm_drift": drift.max().item(),
        "smallest_gradient": passed.min().item(),
        "largest_gradient": passed.max().item(),
        "first_loss": losses[0],
        "last_loss": statistics.mean(losses[-10:]),
    }


def _rotary_scores(queries: Tensor, keys: Tensor, offset: int = 0) -> Tensor:
    cosine, sine = rotary_angles(len(queries), rotary_frequencies(HEAD_WIDTH), offset)
    turned = apply_rotary(torch.stack((queries, keys))[:, None], cosine, sine)[:, 0]  # (2, T, K)
    return turned[0] @ turned[1].T  # (T, T)


def _largest(differences: Tensor) -> float:
    return differences.abs().max().item()
