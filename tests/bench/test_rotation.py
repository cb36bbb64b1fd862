import json

from audioroto.bench import rotation
from audioroto.bench.rotation import bench_rotation
from audioroto.bench.rotation_algebra import measure_cost, measure_stability, measure_symmetry
from audioroto.bench.rotation_claim import Claim
from audioroto.bench.rotation_picture import DRAWINGS, draw_claims


def test_without_speech_the_table_says_what_is_missing(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COLUMNS", "160")
    power = {"losses": {"one": {"gains": [1.0, 2.0, 4.0]}, "two": {"gains": [1.0, 1.0, 1.0]}}}
    monkeypatch.setattr(rotation, "measure_symmetry", lambda: measure_symmetry(16))
    monkeypatch.setattr(rotation, "measure_stability", lambda: measure_stability(2, (1, 2)))
    monkeypatch.setattr(rotation, "measure_cost", lambda: measure_cost((8, 16), 10, 1))
    monkeypatch.setattr(rotation, "measure_power", lambda: Claim("representational power", [], "", power))
    claims = bench_rotation(tmp_path, tmp_path / "no corpus", None, fast=True)
    assert [claim.name for claim in claims if not claim.figures] == ["decorrelation", "stable training: generalisation"]
    assert "--fast trains no recogniser" in " ".join(capsys.readouterr().out.split())
    assert [claim["name"] for claim in json.loads((tmp_path / "figures.json").read_text())["claims"]] == list(DRAWINGS)
    assert (tmp_path / "rotation.png").stat().st_size > 0


def test_claims_from_speech_are_drawn(tmp_path):
    gap = {name: {"train_loss": 1.0, "valid_loss": 1.5} for name in ("with", "without")}
    found = {"small model": {"before": 0.2, "learned rotation": 0.1}, "other": {"before": 0.3, "learned rotation": 0.1}}
    claims = [Claim("decorrelation", [], "", found), Claim("stable training: generalisation", [], "", gap)]
    draw_claims(claims, tmp_path / "claims.png")
    assert (tmp_path / "claims.png").stat().st_size > 0
