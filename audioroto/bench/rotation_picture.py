"""The claims as one picture, a panel each."""

import statistics
from pathlib import Path
from typing import Any

from audioroto.bench.rotation_claim import Claim
from audioroto.files import atomic_path


def draw_claims(claims: list[Claim], path: Path) -> None:
    """Draw each claim that was measured to a PNG; a claim that was not has an empty panel that says so."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 8.5), layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    for axes, claim in zip(panels, claims, strict=False):
        axes.set_title(claim.name)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        if claim.figures:
            DRAWINGS[claim.name](axes, claim.figures)
        else:
            axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _draw_symmetry(axes: Any, figures: dict[str, Any]) -> None:
    labels = {
        "rotation": "both turned\nby a rotation",
        "other_matrix": "by a random\nmatrix",
        "before_rotary": "by a rotation\nbefore rotary",
        "shifted": "then all positions\n+100,000",
    }
    axes.bar(list(labels.values()), [figures[key] for key in labels], color=["C0", "C3", "C1", "C2"])
    axes.set(yscale="log", ylabel="largest change of a score")
    axes.tick_params(axis="x", labelsize=7)


def _draw_stability(axes: Any, figures: dict[str, Any]) -> None:
    for color, name in (("C0", "rotation"), ("C3", "unconstrained")):
        found = figures[name]
        depths = [int(depth) for depth in found]
        axes.plot(depths, [one["norm_drift"] for one in found.values()], color=color, marker="o", label=f"{name}: norm")
        drift = [max(one["largest_gradient"] - 1, 1 - one["smallest_gradient"]) for one in found.values()]
        axes.plot(depths, drift, color=color, marker="s", linestyle="--", label=f"{name}: gradient norm")
    axes.set(xscale="log", yscale="log", xlabel="layers", ylabel="largest change, as a share")
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.legend(loc="center right", fontsize=8)


def _draw_cost(axes: Any, figures: dict[str, Any]) -> None:
    labels = {
        "composed": "rounds, then a product",
        "on_frames": "rounds on frames",
        "matrices": "product of K×K matrices",
        "product": "one dense product",
    }
    widths = [int(width) for width in figures["seconds"]]
    for key, label in labels.items():
        axes.plot(widths, [1000 * found[key] for found in figures["seconds"].values()], marker="o", label=label)
    axes.set(xscale="log", yscale="log", xlabel="K", ylabel=f"ms for {figures['frames']} vectors")
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    axes.legend(loc="upper left", fontsize=8)


def _draw_power(axes: Any, figures: dict[str, Any]) -> None:
    for shift, (teacher, found) in zip((-0.18, 0.18), figures["losses"].items(), strict=True):
        places = [number + shift for number in range(len(found))]
        medians = [statistics.median(losses) for losses in found.values()]
        spread = [
            [median - min(losses) for median, losses in zip(medians, found.values(), strict=True)],
            [max(losses) - median for median, losses in zip(medians, found.values(), strict=True)],
        ]
        axes.bar(places, medians, width=0.34, yerr=spread, capsize=3, label=f"teacher: {teacher}")
        axes.set_xticks(range(len(found)), list(found), fontsize=8)
    axes.set(ylabel="nats from the teacher, median and range of seeds")
    axes.legend(loc="upper right", fontsize=8)


def _draw_decorrelation(axes: Any, figures: dict[str, Any]) -> None:
    height = 0.8 / len(figures)
    for number, (name, found) in enumerate(figures.items()):
        places = [place + number * height for place in range(len(found))]
        axes.barh(places, list(found.values()), height=height, label=name)
        axes.set_yticks(range(len(found)), [what.replace(", ", ",\n") for what in found], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="mean |correlation|, q and k")
    axes.legend(loc="lower right", fontsize=8)


def _draw_gap(axes: Any, figures: dict[str, Any]) -> None:
    for shift, key, label in ((-0.18, "train_loss", "training"), (0.18, "valid_loss", "validation")):
        places = [number + shift for number in range(len(figures))]
        bars = axes.bar(places, [found[key] for found in figures.values()], width=0.34, label=label)
        axes.bar_label(bars, fmt="%.3f", fontsize=8)
    axes.set_xticks(range(len(figures)), [f"{name} rotation" for name in figures])
    axes.set(ylabel="nats a token, no augmentation")
    axes.margins(y=0.15)
    axes.legend(loc="upper right", fontsize=8)


DRAWINGS = {
    "rotational symmetry": _draw_symmetry,
    "stable training: depth": _draw_stability,
    "cost": _draw_cost,
    "representational power": _draw_power,
    "decorrelation": _draw_decorrelation,
    "stable training: generalisation": _draw_gap,
}
