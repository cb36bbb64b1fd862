import json

import pytest
import torch

from audioroto.bench.attention import KINDS, AttentionStack, Point, bench_attention, measure_growth, measure_point
from audioroto.bench.measure import call_in_fresh_process
from audioroto.config import load_config


@pytest.fixture(scope="module")
def config():
    return load_config(
        [], ["encoder.width=32", "encoder.num_heads=2", "encoder.window_frames=4", "encoder.global_keys=16"]
    )


def test_kinds_differ_in_who_sees_whom(config):
    torch.manual_seed(0)
    frames = torch.randn(60, 32, requires_grad=True)
    reach = {}
    for kind in KINDS:
        stack = AttentionStack(config, kind).eval()
        (gradient,) = torch.autograd.grad(stack(frames)[0].sum(), frames)
        reach[kind] = int((gradient.abs().sum(-1) > 0).sum())
    assert reach == {"local": 9, "hybrid": 60, "dense": 60}  # two layers of ± 4 frames
    assert [AttentionStack(config, kind).planner.global_keys > 60 for kind in KINDS] == [False, False, True]


def test_a_point_is_measured(config):
    # In a process of its own: the limit on memory is for good, and would meet all tests after this one.
    point = call_in_fresh_process(measure_point, config, "hybrid", 20, "cpu", 8 * 2**30, limit_seconds=120)
    assert isinstance(point, Point), point
    assert point.frames == 250
    assert point.seconds > 0


def test_a_kind_goes_no_further_than_it_can(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    points = bench_attention(config, tmp_path, audio_seconds=(5, 10), limit_seconds=0.1)
    assert [(point.kind, point.audio_seconds, point.refused) for point in points] == [
        (kind, 5, "over 0.1 s") for kind in KINDS
    ]
    assert len(json.loads((tmp_path / "figures.json").read_text())["points"]) == 3
    assert (tmp_path / "attention.png").stat().st_size > 0
    assert "over 0.1 s" in capsys.readouterr().out


def test_growth_needs_both_ends():
    points = [
        Point("local", 600, 7500, seconds=1.0, kernel_share=0.0, memory_bytes=100),
        Point("local", 3600, 45000, seconds=8.0, kernel_share=0.25, memory_bytes=600),
        Point("dense", 600, 7500, seconds=1.0, memory_bytes=100),
        Point("dense", 3600, 45000, refused="out of memory"),
    ]
    assert measure_growth(points) == {"local": {"time": 8.0, "user_time": 6.0, "memory": 6.0}}
