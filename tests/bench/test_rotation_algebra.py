import pytest
import torch

from audioroto.bench.rotation_algebra import make_cost_tasks, measure_cost, measure_stability, measure_symmetry


def test_symmetry_is_seen_where_it_is_and_only_there():
    figures = measure_symmetry(64).figures
    assert max(figures["rotation"], figures["shifted"]) < 1e-5
    assert min(figures["other_matrix"], figures["before_rotary"]) > 0.05


def test_a_rotation_keeps_norms_and_gradients_that_a_free_matrix_does_not():
    figures = measure_stability(num_updates=30, depths=(1, 6)).figures
    for found in figures["rotation"].values():
        assert found["norm_drift"] < 1e-5
        assert found["smallest_gradient"] == pytest.approx(found["largest_gradient"], abs=1e-5)
        assert found["last_loss"] < found["first_loss"]
    assert min(found["norm_drift"] for found in figures["unconstrained"].values()) > 1e-3
    assert figures["rotation"]["6"]["first_loss"] == pytest.approx(
        figures["unconstrained"]["6"]["first_loss"], rel=1e-4
    )


def test_the_four_ways_to_turn_frames_agree():
    results = [task() for task in make_cost_tasks(16, 10).values()]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-5, atol=1e-5)


def test_cost_has_a_row_for_each_width():
    claim = measure_cost((8, 16), num_frames=10, num_rounds=1)
    assert list(claim.figures["seconds"]) == ["8", "16"]
    assert len(claim.rows) == 2
