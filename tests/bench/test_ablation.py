import json
import os
import shutil
from pathlib import Path

import pytest
import typer.main
from rich.console import Console

from audioroto.bench import ablation
from audioroto.bench.ablation import run_ablation
from audioroto.bench.ablation_report import write_report
from audioroto.bench.ablation_result import read_results
from audioroto.bench.ablation_summary import Summary
from audioroto.cli.main import app
from audioroto.config import Config, save_config
from audioroto.errors import UserError
from audioroto.train.trainer import Trainer

ARMS = ["no_position", "baseline"]


def run(tone_corpus: Path, folder: Path, config: Path, arms: list[str] = ARMS, *overrides: str) -> Summary:
    with open(os.devnull, "w") as nowhere:
        return run_ablation(
            tone_corpus / "train",
            tone_corpus / "valid",
            folder,
            config_paths=[config],
            overrides=overrides,
            arms=arms,
            seeds=[1],
            device="cpu",
            console=Console(file=nowhere),
        )


@pytest.fixture(scope="module")
def config_file(tiny_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    shorter = tiny_config.train.model_copy(update={"max_updates": 40, "valid_every_updates": 20})
    text = tiny_config.text.model_copy(update={"vocab_size": 40})
    settings = tiny_config.model_copy(update={"train": shorter, "text": text}).model_dump(mode="json")
    save_config(Config.model_validate(settings), path)
    return path


@pytest.fixture(scope="module")
def finished(tone_corpus: Path, config_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    run(tone_corpus, folder, config_file)
    return folder


def test_the_runs_are_on_equal_terms(finished):
    baseline, arm = read_results(finished)
    assert (baseline.arm, arm.arm) == ("baseline", "no_position")
    assert baseline.updates == arm.updates == 40
    assert baseline.audio_seconds == arm.audio_seconds > 0
    assert baseline.inputs == arm.inputs
    assert abs(arm.parameters / baseline.parameters - 1) <= 0.01
    assert (baseline.rotary_base, arm.rotary_base) == (10000.0, None)


def test_every_word_is_scored_at_every_length(finished):
    for result in read_results(finished):
        assert len({each.words for each in result.results}) == 1
        assert [each.sentences for each in result.results] == [8, 4, 2, 2]  # two speakers of four utterances
        assert list(result.joined_seconds) == sorted(result.joined_seconds)
        assert len(result.seconds) == result.results[0].sentences
        assert result.valid_loss > 0


def test_only_what_is_needed_later_stays(finished):
    kept = {path.name for path in (finished / "baseline-seed1").iterdir()}
    assert {"result.json", "model.safetensors", "metrics.jsonl"} <= kept
    assert not kept & {"resume.safetensors", "checkpoints"}


def test_a_second_call_trains_nothing(finished, tone_corpus, config_file, monkeypatch):
    monkeypatch.setattr(ablation, "train", lambda *_, **__: pytest.fail("it trained again"))
    monkeypatch.setattr(ablation, "measure_arm", lambda *_: pytest.fail("it measured again"))
    summary = run(tone_corpus, finished, config_file)
    assert (summary.num_runs, summary.num_planned) == (2, 2)


def test_the_report_is_made_from_the_json_files_alone(finished, tmp_path):
    for path in finished.glob("*-seed*/result.json"):
        shutil.copytree(path.parent, tmp_path / path.parent.name, ignore=lambda _, names: {*names} - {"result.json"})
    shutil.copy(finished / "plan.json", tmp_path)
    write_report(tmp_path)
    for name in ("ablation.md", "ablation.json"):
        assert (tmp_path / name).read_text() == (finished / name).read_text()
    assert (tmp_path / "ablation.png").read_bytes().startswith(b"\x89PNG")
    report = (tmp_path / "ablation.md").read_text()
    assert "2 of 2 runs" in report
    assert 'position.kind="none"' in report


def test_other_settings_are_refused(finished, tone_corpus, config_file):
    with pytest.raises(UserError, match=r"another ablation: train\.batch_seconds was 8\.0, is 4\.0"):
        run(tone_corpus, finished, config_file, ARMS, "train.batch_seconds=4.0")


def test_a_setting_that_did_not_exist_yet_had_its_default(finished, tone_corpus, config_file, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "earlier")
    path = tmp_path / "earlier" / "baseline-seed1" / "result.json"
    result = json.loads(path.read_text())
    for section, key in (("loss", "consistency_weight"), ("train", "average_decay"), ("encoder", "layer_drop")):
        del result["settings"][section][key]
    path.write_text(json.dumps(result))
    monkeypatch.setattr(ablation, "train", lambda *_, **__: pytest.fail("it trained again"))
    assert run(tone_corpus, tmp_path / "earlier", config_file).num_runs == 2
    with pytest.raises(UserError, match=r"train\.average_decay was 0\.0, is 0\.9"):
        run(tone_corpus, tmp_path / "earlier", config_file, ARMS, "train.average_decay=0.9")


def test_an_interrupted_run_goes_on_where_it_stopped(finished, tone_corpus, config_file, tmp_path, monkeypatch):
    original = Trainer.update
    updates: list[int] = []

    def stop_at_25(self, *parts):
        if self.progress.update == 25:
            self.save()
            raise KeyboardInterrupt
        return original(self, *parts)

    def count(self, *parts):
        updates.append(self.progress.update)
        return original(self, *parts)

    monkeypatch.setattr(Trainer, "update", stop_at_25)
    with pytest.raises(KeyboardInterrupt):
        run(tone_corpus, tmp_path, config_file, ["baseline"])
    assert "0 of 1 runs" in (tmp_path / "ablation.md").read_text()
    monkeypatch.setattr(Trainer, "update", count)
    summary = run(tone_corpus, tmp_path, config_file, ["baseline"])
    assert updates == list(range(25, 40))
    assert summary.num_runs == 1
    whole, parts = (read_results(folder)[0] for folder in (finished, tmp_path))
    assert (parts.results, parts.train_loss, parts.valid_loss) == (whole.results, whole.train_loss, whole.valid_loss)


def test_seeds_that_are_no_numbers_are_refused(tone_corpus, tmp_path):
    folders = [f"--{split}-dir={tone_corpus / split}" for split in ("train", "valid")]
    command = ["bench", "ablation", *folders, f"--out={tmp_path}", "--seeds=1,two"]
    with pytest.raises(UserError, match="--seeds 1,two: write whole numbers"):
        typer.main.get_command(app).main(command, standalone_mode=False)
