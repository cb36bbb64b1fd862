from pathlib import Path

from audioroto.train.experiment import Experiment


def test_what_an_earlier_run_kept_goes_and_its_states_go_first(tmp_path, monkeypatch):
    experiment = Experiment(tmp_path)
    kept = [experiment.state, tmp_path / "resume.previous.safetensors", experiment.checkpoint(10)]
    kept += [experiment.bad_batch(3, 1), tmp_path / "diagnostics.jsonl"]
    for path in (*kept, tmp_path / "config.toml"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    gone: list[Path] = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **options: gone.append(path) or unlink(path, **options))
    experiment.remove_earlier()
    assert {path.name for path in gone[:2]} == {"resume.safetensors", "resume.previous.safetensors"}
    assert sorted(gone) == sorted(kept)
    assert (tmp_path / "config.toml").exists()
