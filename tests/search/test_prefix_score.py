import itertools

import pytest
import torch
from torch import Tensor

from audioroto.search.prefix_score import PrefixScorer
from audioroto.text.tokenizer import END_ID

VOCAB = 5


def make_log_probs(num_frames: int, seed: int = 0, sharpness: float = 1.5) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(num_frames, VOCAB, generator=generator)).double().log_softmax(-1)


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def sum_over_paths(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """Probability of each labelling, from every path there is."""
    probabilities: dict[tuple[int, ...], float] = {}
    rows = log_probs.double().exp().tolist()
    for path in itertools.product(range(VOCAB), repeat=len(rows)):
        probability = 1.0
        for row, token in zip(rows, path, strict=True):
            probability *= row[token]
        said = collapse(path)
        probabilities[said] = probabilities.get(said, 0.0) + probability
    return probabilities


def walk(scorer: PrefixScorer, prefix: tuple[int, ...]) -> Tensor:
    """What the scorer says of each token after `prefix`, (B, V)."""
    prefixes = scorer.start(1)
    for token in prefix:
        size = len(scorer.lengths)
        prefixes = scorer.extend(prefixes, torch.zeros(size, 1, dtype=torch.int64), torch.full((size, 1), token))
    return scorer.score(prefixes)[:, 0]


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_the_sum_over_all_paths(seed):
    log_probs = make_log_probs(5, seed)
    labellings = sum_over_paths(log_probs)
    scorer = PrefixScorer(log_probs[None], torch.tensor([5]))
    for length in range(5):
        for prefix in itertools.product((1, 3, 4), repeat=length):
            scores = walk(scorer, prefix)[0].exp()
            assert scores[END_ID].item() == pytest.approx(labellings.get(prefix, 0.0), abs=1e-12)
            for token in (1, 3, 4):
                begins = sum(p for said, p in labellings.items() if said[: length + 1] == (*prefix, token))
                assert scores[token].item() == pytest.approx(begins, abs=1e-12)
            assert scores[0] == 0


def test_hypotheses_go_on_from_their_parents():
    log_probs = make_log_probs(6)
    scorer = PrefixScorer(log_probs[None], torch.tensor([6]))
    prefixes = scorer.extend(scorer.start(3), torch.tensor([[0, 1, 2]]), torch.tensor([[1, 3, 4]]))
    prefixes = scorer.extend(prefixes, torch.tensor([[2, 0, 1]]), torch.tensor([[4, 3, 3]]))
    found = scorer.score(prefixes)[0]
    for row, prefix in enumerate([(4, 4), (1, 3), (3, 3)]):
        torch.testing.assert_close(found[row], walk(scorer, prefix)[0])


def test_padding_is_not_looked_at():
    lengths = torch.tensor([7, 3, 0])
    log_probs = torch.stack([make_log_probs(7, seed) for seed in range(3)])
    log_probs[1, 3:] = torch.nan
    together = PrefixScorer(log_probs, lengths)
    for prefix in [(), (3,), (3, 3), (1, 4, 3, 3)]:
        found = walk(together, prefix)
        for row, length in enumerate([7, 3]):
            alone = walk(PrefixScorer(log_probs[row : row + 1, :length], lengths[row : row + 1]), prefix)
            torch.testing.assert_close(found[row], alone[0])
        silent = found[2].exp().tolist()  # no frames say nothing, and that for certain
        assert silent == [0.0, 0.0, float(not prefix), 0.0, 0.0]


def test_it_is_exact_over_many_sharp_frames():
    """What begins with a prefix either ends there or goes on with one of the tokens: to 10 digits in 1,500 frames."""
    log_probs = make_log_probs(1500, sharpness=12.0)
    log_probs[:, END_ID] = -1e4  # CTC has no end: its column would be a token as any other
    log_probs = log_probs.log_softmax(-1)
    scorer = PrefixScorer(log_probs[None], torch.tensor([1500]))
    prefixes, expected = scorer.start(1), torch.zeros((), dtype=torch.float64)
    for _ in range(60):
        scores = scorer.score(prefixes)[0, 0]
        assert (scores.logsumexp(0) - expected).abs() < 1e-10 * max(1, expected.abs())
        token = torch.tensor([1, 3, 4])[scores[[1, 3, 4]].argmax()]
        expected = scores[token]
        prefixes = scorer.extend(prefixes, torch.zeros(1, 1, dtype=torch.int64), token[None, None])
    assert expected < -1
