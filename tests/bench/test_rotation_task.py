import statistics

import pytest
import torch

from audioroto.bench import rotation_task
from audioroto.bench.rotation_task import STUDENTS, Student, count_numbers, measure_power, train_student


def test_rotations_and_small_matrices_have_as_many_numbers():
    assert count_numbers("combined") == pytest.approx(count_numbers("low_rank"), rel=0.12)
    assert count_numbers("gains") == 0
    assert count_numbers("free") == 2 * 32 * 32


@pytest.mark.parametrize("kind", STUDENTS)
def test_seeds_do_not_see_each_other(kind):
    student = Student(kind, num_seeds=3)
    matched = torch.randn(2, 3, 2, 5, 32)
    student(matched)[1].square().sum().backward()
    for parameter in student.parameters():
        if kind in ("givens", "orthogonal", "combined") and parameter.ndim == 1:
            gradient = parameter.grad.view(3, -1)
        else:
            gradient = parameter.grad.movedim(1, 0).flatten(1)
        assert gradient[[0, 2]].abs().max() == 0


def test_a_rotation_finds_a_rotation():
    draw = rotation_task._draw_rotation_teacher
    floor, turned = (statistics.median(train_student(kind, draw, 3, 80, 2e-2)) for kind in ("gains", "combined"))
    assert turned < 0.8 * floor


def test_every_student_meets_both_teachers(monkeypatch):
    monkeypatch.setattr(rotation_task, "LEARNING_RATES", (1e-2,))
    losses = measure_power(num_seeds=2, num_updates=3).figures["losses"]
    assert list(losses) == ["hidden rotation", "hidden matrices"]
    assert all(list(found) == list(STUDENTS) for found in losses.values())
    assert all(len(seeds) == 2 for found in losses.values() for seeds in found.values())
