"""audioroto results"""

from pathlib import Path
from typing import Annotated

import typer


def results(
    results_dir: Annotated[Path, typer.Argument(help="Folder of <run>.json files.")],
    out: Annotated[Path, typer.Option(help="The Markdown file to write.")] = Path("RESULTS.md"),
) -> None:
    """Make RESULTS.md from the committed results of each run, and from nothing else."""
    import os

    from audioroto.files import write_text
    from audioroto.score.learning_curve import draw_learning_curve, find_learning_curve
    from audioroto.score.results import format_results, read_runs

    runs = read_runs(results_dir)
    picture = ""
    if by_hours := find_learning_curve(runs):
        picture = "hours.png"
        draw_learning_curve(by_hours, out.with_name(picture))
    write_text(out, format_results(runs, picture, Path(os.path.relpath(results_dir, out.parent)).as_posix()))
    print(f"{out}: {sum(len(run.results) for run in runs)} results of {len(runs)} runs")
