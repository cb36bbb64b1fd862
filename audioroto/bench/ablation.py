"""The ablation: one training run for each arm and seed, on equal terms, measured on the validation set.

Every run has a folder of its own, OUT/<arm>-seed<k>/. A finished one holds `result.json` and is not run again; an
interrupted one goes on through the trainer's own resume. Everything that is shown is made from the JSON files alone.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from audioroto.bench.ablation_arms import ARMS, Arm, configure_arm, find_arms, match_parameters
from audioroto.bench.ablation_report import write_report
from audioroto.bench.ablation_result import Plan, read_plan, read_result, write_plan
from audioroto.bench.ablation_summary import Summary
from audioroto.bench.measure_arm import measure_arm
from audioroto.config import Config, find_changes, parse_config
from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.errors import UserError
from audioroto.model.asr import build_model, count_parameters
from audioroto.score.results import write_record
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import Tokenizer, train_tokenizer
from audioroto.train.average import average_checkpoints
from audioroto.train.selection import fingerprint, select_utterances
from audioroto.train.trainer import train


@dataclass(frozen=True)
class Terms:
    """What all runs share."""

    train_dir: Path
    valid_dir: Path
    out_dir: Path
    tokenizer: Tokenizer
    train_utterances: list[Utterance]  # those that are trained on
    inputs: str  # fingerprint of what is trained on
    device: str

    @property
    def tokenizer_path(self) -> Path:
        return self.out_dir / "tokenizer.model"


def run_ablation(
    train_dir: Path,
    valid_dir: Path,
    out_dir: Path,
    *,
    config_paths: Sequence[Path],
    overrides: Sequence[str],
    arms: Sequence[str],
    seeds: Sequence[int],
    device: str = "auto",
    console: Console,
) -> Summary:
    """Train and measure `arms` with `seeds`, seed after seed, and write the report after every run.

    The tokenizer is trained once, on the training transcripts. Each arm's feed-forward width is adjusted so that all
    have the baseline's number of parameters. Raises KeyboardInterrupt after saving when it is asked to stop, UserError
    for inputs it refuses and for a folder whose runs had other settings or data.
    """
    chosen = find_arms(arms)
    configs = {(arm.name, seed): configure_arm(arm, seed, config_paths, overrides) for seed in seeds for arm in chosen}
    baseline = configure_arm(ARMS["baseline"], seeds[0], config_paths, overrides)
    terms = _set_terms(baseline, train_dir, valid_dir, out_dir, device)
    num_parameters = count_parameters(build_model(baseline, terms.tokenizer.vocab_size))
    write_plan(
        out_dir, Plan(arms=tuple(arm.name for arm in chosen), seeds=tuple(seeds)).joined_with(read_plan(out_dir))
    )
    summary = write_report(out_dir)
    for (name, seed), config in configs.items():
        matched = match_parameters(config, num_parameters, terms.tokenizer.vocab_size)
        folder = out_dir / f"{name}-seed{seed}"
        if (folder / "result.json").exists():
            _refuse_other_run(folder / "result.json", matched, terms.inputs)
        else:
            console.rule(f"run {summary.num_runs + 1} of {summary.num_planned}: {ARMS[name].title}, seed {seed}")
            _run_arm(ARMS[name], seed, matched, folder, terms, console)
            summary = write_report(out_dir)
    return summary


def _run_arm(arm: Arm, seed: int, config: Config, folder: Path, terms: Terms, console: Console) -> None:
    train(config, terms.train_dir, terms.valid_dir, terms.tokenizer_path, folder, device=terms.device, console=console)
    average_checkpoints(folder, folder / "model.safetensors")
    result = measure_arm(
        arm, seed, folder, terms.train_utterances, read_datadir(terms.valid_dir), terms.inputs, terms.device
    )
    write_record(folder / "result.json", result)
    # What only going on needs is several times the model's size, for each of dozens of runs.
    (folder / "resume.safetensors").unlink(missing_ok=True)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _set_terms(config: Config, train_dir: Path, valid_dir: Path, out_dir: Path, device: str) -> Terms:
    utterances = read_datadir(train_dir)
    path = out_dir / "tokenizer.model"
    if not path.exists():
        texts = [normalize(utterance.text or "", config.text.normalizer) for utterance in utterances]
        train_tokenizer(texts, config.text.units, config.text.vocab_size).save(path)
    tokenizer = Tokenizer.load(path)
    selection = select_utterances(utterances, tokenizer, config)
    inputs = fingerprint(selection, tokenizer)
    return Terms(train_dir, valid_dir, out_dir, tokenizer, selection.utterances, inputs, device)


def _refuse_other_run(path: Path, config: Config, inputs: str) -> None:
    """A setting that did not exist yet when the run was made had its default."""
    found = read_result(path)
    changes = find_changes(parse_config(found.settings, str(path)), config)
    changed = [f"{name} was {was!r}, is {now!r}" for name, was, now in changes]
    if found.inputs != inputs:
        changed.append("it was trained on other data or another tokenizer")
    if changed:
        raise UserError(f"{path} is of another ablation: {'; '.join(changed)}. Give another --out")
