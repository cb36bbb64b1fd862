import torch

from audioroto.train.update import dropout_seed


def test_one_part_draws_what_the_update_draws():
    assert dropout_seed(2, 7, 0) == 2 * 1_000_003 + 7


def test_each_part_of_each_update_draws_anew():
    """By what torch draws: its generator on the CPU knows less of a seed than the whole of it."""

    def draw(seed: int) -> float:
        torch.manual_seed(seed)
        return torch.rand(1, dtype=torch.float64).item()

    with torch.random.fork_rng():
        draws = {draw(dropout_seed(1, update, part)) for update in range(40) for part in range(20)}
    assert len(draws) == 800
