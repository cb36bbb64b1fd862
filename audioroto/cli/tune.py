"""audioroto tune"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, Device, ModelFile, Overrides, load_search


def tune(
    model: ModelFile,
    data_dir: Annotated[Path, typer.Option(help="Validation data directory; never a test set.")],
    lm: Annotated[Path, typer.Option(help="ARPA file (.gz too) made by 'audioroto lm'.")],
    out: Annotated[Path, typer.Option(help="TOML file to write; 'audioroto recognize --config' reads it.")],
    mode: Annotated[str, typer.Option(help="ctc_beam, attention, joint or rescoring.")] = "ctc_beam",
    num_trials: Annotated[int, typer.Option(min=1, help="Weights to try.")] = 24,
    max_minutes: Annotated[
        float, typer.Option(min=0.01, help="Minutes of the validation set to use; as many again for the beam.")
    ] = 10.0,
    real_time_factor: Annotated[
        float, typer.Option(min=0.0, help="Seconds of a processor that searching a second of audio may take.")
    ] = 0.05,
    config: ConfigFiles = None,
    overrides: Overrides = None,
    device: Device = "auto",
) -> None:
    """Find the weights and the beam of a search with an n-gram that make the fewest word errors on a validation set.

    The search starts from the configuration's section search, its beam aside; what is written names the mode too.
    """
    from rich.console import Console
    from rich.table import Table

    from audioroto.infer.recognizer import load_model
    from audioroto.infer.tune import tune_search, write_settings

    recognizer = load_model(model, device, load_search(model, config, overrides, None), lm)
    tuning = tune_search(
        recognizer, data_dir, mode, num_trials=num_trials, max_minutes=max_minutes, real_time_factor=real_time_factor
    )
    weights = [*tuning.weights, tuning.beam]
    table = Table(*tuning.weights, "beam", "WER %", "real-time factor")
    for trials in (tuning.trials, tuning.beams):
        for trial in trials:
            table.add_row(
                *(f"{getattr(trial.settings, name):.4g}" for name in weights),
                f"{100 * trial.words.rate:.2f}",
                f"{trial.real_time_factor:.4f}",
                style="bold" if trial == tuning.best else None,
            )
        table.add_section()
    Console().print(table)
    write_settings(out, tuning)
    print(
        f"{out}: WER {100 * tuning.best.words.rate:.2f} % on {tuning.audio_seconds / 60:.1f} minutes; confidence tells "
        f"right words from wrong ones with AUC {tuning.confidence_auc:.3f}"
    )
