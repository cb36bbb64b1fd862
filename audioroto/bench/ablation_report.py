"""The ablation as tables, a picture and a reading of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audioroto.bench.ablation_arms import ARMS
from audioroto.bench.ablation_result import JOINED_TIMES
from audioroto.bench.ablation_summary import ArmSummary, Difference, Summary, summarize_ablation
from audioroto.files import atomic_path, write_text

if TYPE_CHECKING:
    from rich.table import Table as RichTable


class Table(NamedTuple):
    """Cells as text; the first column names the arm."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_report(out_dir: Path) -> Summary:
    """Write OUT/ablation.md, .json and .png from the plan and the result files alone, and return what they say."""
    summary = summarize_ablation(out_dir)
    write_text(out_dir / "ablation.json", summary.model_dump_json(indent=2) + "\n")
    write_text(out_dir / "ablation.md", format_report(summary))
    if summary.arms:
        draw_ablation(summary, out_dir / "ablation.png")
    return summary


def format_report(summary: Summary) -> str:
    """The report in Markdown."""
    parts = [f"# Ablation: {summary.num_runs} of {summary.num_planned} runs\n", describe_terms(summary)]
    for table in make_tables(summary):
        lines = [table.heads, ["---"] * len(table.heads), *table.rows]
        parts.append(f"## {table.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    parts.append("## Reading\n\n" + "".join(f"- {line}\n" for line in read_summary(summary)))
    return "\n".join(parts)


def make_overview(summary: Summary) -> "RichTable":
    """The narrow table for the terminal: what each arm reaches, and how it stands to the baseline."""
    from rich import box
    from rich.table import Table as RichTable

    shown = RichTable("arm", title=f"{summary.num_runs} of {summary.num_planned} runs", box=box.SIMPLE_HEAD)
    for head in ("WER %", "to the baseline", "reading", f"WER % ×{JOINED_TIMES[-1]}", "minutes"):
        shown.add_column(head, justify="right", no_wrap=True)
    for arm in summary.arms:
        plain, longest = arm.measures[0], arm.measures[-1]
        difference = plain.to_baseline
        shown.add_row(
            arm.name,
            f"{100 * plain.wer:.2f}",
            _format(difference),
            difference.reading if difference else "–",
            f"{100 * longest.wer:.2f}",
            f"{arm.minutes:.1f}",
        )
    return shown


def describe_terms(summary: Summary) -> str:
    """What was equal in all runs, as it was found in them."""
    if not summary.arms:
        return "No run is finished yet.\n"
    parameters = [arm.parameters for arm in summary.arms]
    updates = " or ".join(f"{number:,}" for number in summary.updates)
    hours = " to ".join(f"{number:.2f}" for number in summary.audio_hours)
    return (
        f"Every run: {updates} updates, {hours} h of audio, {min(parameters):,} to {max(parameters):,} parameters; "
        f"seeds {', '.join(map(str, summary.seeds))}. "
        f"Free-running greedy search on the {summary.words:,} words of the validation set; differences in % absolute, "
        "negative is better, with 95 % intervals (paired bootstrap over utterances, the same seeds pooled).\n"
    )


def make_tables(summary: Summary) -> list[Table]:
    """Error rates, lengths, and costs."""
    return [_make_rates_table(summary), _make_lengths_table(summary), _make_costs_table(summary)]


def read_summary(summary: Summary) -> list[str]:
    """What the intervals say, and how far that goes."""
    lines = []
    plain = {arm.name: arm.measures[0].to_baseline for arm in summary.arms}
    partners = {f"{arm.name} (to {arm.against})": arm.measures[0].to_partner for arm in summary.arms}
    longest = {arm.name: arm.measures[-1].to_baseline for arm in summary.arms}
    for where, differences in {
        "Against the baseline": plain,
        "Last field alone, against the arm without it": partners,
        f"Joined ×{JOINED_TIMES[-1]}, against the baseline": longest,
    }.items():
        for reading in ("better", "worse", "undecided"):
            found = [
                f"{name} {_format(each)}" for name, each in differences.items() if each and each.reading == reading
            ]
            if found:
                lines.append(f"{where}, {reading}: {', '.join(found)}.")
    num_intervals = sum(each is not None for each in (*plain.values(), *partners.values(), *longest.values()))
    if num_intervals:
        lines.append(
            f"Of {num_intervals} intervals at 95 %, about {num_intervals / 20:.1f} would exclude zero though nothing "
            "differed. They tell what other utterances would give, not what other seeds would, and an arm with other "
            "modules starts from other random weights: see the rates by seed before believing a small difference."
        )
    if summary.waiting:
        lines.append(f"Not run yet: {', '.join(summary.waiting)}.")
    return lines


def draw_ablation(summary: Summary, path: Path) -> None:
    """Differences to the baseline at the same seeds, with intervals, and over the length of the audio, as one PNG."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 1.5 + 0.45 * max(8, len(summary.arms))), layout="constrained")
    left, right = figure.subplots(1, 2)
    compared = [arm for arm in summary.arms if arm.measures[0].to_baseline]
    colours = {"better": "tab:green", "worse": "tab:red", "undecided": "tab:gray"}
    places = range(len(JOINED_TIMES))
    for number, arm in enumerate(compared):
        differences = [measure.to_baseline for measure in arm.measures if measure.to_baseline]
        each = differences[0]
        reach = [[100 * (each.value - each.low)], [100 * (each.high - each.value)]]
        left.errorbar(100 * each.value, number, xerr=reach, fmt="o", color=colours[each.reading], capsize=4)
        right.plot(
            places,
            [100 * difference.value for difference in differences],
            color=colormaps["tab20"](number % 20),
            linestyle="--" if number >= 20 else "-",
            marker="o",
            label=arm.name,
        )
    left.axvline(0, color="black", linewidth=0.8)
    right.axhline(0, color="black", linewidth=0.8)
    left.set_yticks(range(len(compared)), [f"{arm.name} ({len(arm.seeds)})" for arm in compared])
    left.invert_yaxis()
    left.set(title="difference to the baseline, 95 % interval (seeds)", xlabel="WER, % absolute (negative is better)")
    named = zip(JOINED_TIMES, summary.joined_seconds, strict=True)
    right.set_xticks(places, [f"×{times}\n{seconds:.1f} s" for times, seconds in named])
    if any(abs(value) > 5 for line in right.lines for value in line.get_ydata()):
        right.set_yscale("symlog", linthresh=5)
        right.set_yticks([-20, -10, -5, -2.5, 0, 2.5, 5, 10, 20, 40], minor=False)
    right.yaxis.set_major_formatter("{x:+g}")
    right.set(
        title="the same on joined utterances, without training again", xlabel="mean length", ylabel="WER, % absolute"
    )
    if compared:
        figure.legend(loc="outside right center", fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle(f"ablation, {summary.num_runs} of {summary.num_planned} runs")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _make_rates_table(summary: Summary) -> Table:
    rows = []
    for arm in summary.arms:
        measure = arm.measures[0]
        rows.append(
            [
                arm.name,
                arm.kind,
                "<br>".join(arm.changes) or "–",
                f"{100 * measure.wer:.2f} ({100 * measure.low:.2f} to {100 * measure.high:.2f})",
                ", ".join(f"{100 * wer:.2f}" for wer in arm.wers),
                _format(measure.to_baseline),
                measure.to_baseline.reading if measure.to_baseline else "–",
                f"{arm.against}: {_format(measure.to_partner)}, {measure.to_partner.reading}"
                if measure.to_partner
                else "–",
            ]
        )
    rows += [[name, ARMS[name].kind, *["not run yet"], *["–"] * 5] for name in summary.waiting]
    heads = ["arm", "kind", "changes", "WER % (95 %)", "by seed", "to the baseline", "reading", "to its partner"]
    return Table("Word error rates", heads, rows)


def _make_lengths_table(summary: Summary) -> Table:
    heads = ["arm", *(f"≤ {seconds:.1f} s" for seconds in summary.bucket_seconds)]
    for times, seconds in zip(JOINED_TIMES[1:], summary.joined_seconds[1:], strict=False):
        heads += [f"×{times} ({seconds:.1f} s)", f"×{times} to the baseline"]
    rows = []
    for arm in summary.arms:
        row = [arm.name, *(f"{100 * wer:.2f}" for wer in arm.bucket_wers)]
        for measure in arm.measures[1:]:
            difference = measure.to_baseline
            row += [
                f"{100 * measure.wer:.2f}",
                f"{_format(difference)}{f', {difference.reading}' if difference else ''}",
            ]
        rows.append(row)
    return Table("WER % by length: thirds of the utterances, then joined without training again", heads, rows)


def _make_costs_table(summary: Summary) -> Table:
    heads = (
        "arm, parameters, feedforward_width, minutes, audio h, audio s/s, "
        "training loss, validation loss, gap, final rotary base"
    )
    return Table("Cost, losses in nats a token, rotary base", heads.split(", "), [_list_costs(a) for a in summary.arms])


def _list_costs(arm: ArmSummary) -> list[str]:
    return [
        arm.name,
        f"{arm.parameters:,}",
        str(arm.feedforward_width),
        f"{arm.minutes:.1f}",
        f"{arm.audio_hours:.2f}",
        f"{arm.audio_rate:.0f}",
        f"{arm.train_loss:.3f}",
        f"{arm.valid_loss:.3f}",
        f"{arm.loss_gap:+.3f}",
        "–" if arm.rotary_base is None else f"{arm.rotary_base:,.0f}",
    ]


def _format(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    return f"{100 * difference.value:+.2f} ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"
