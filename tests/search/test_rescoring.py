import pytest
import torch

from audioroto.model.decoder import Decoder
from audioroto.search.hypothesis import Hypothesis
from audioroto.search.rescoring import rescore


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder(6, width=16, num_blocks=1, num_heads=2, feedforward_width=32, dropout=0.1).eval()


CANDIDATES = [
    [Hypothesis((3, 4, 5), -1.0, frames=(0, 2, 4)), Hypothesis((3, 4), -2.0), Hypothesis((), -7.0)],
    [],
    [Hypothesis((5,), -0.5)],
]


def test_scores_are_the_weighted_sum_and_the_best_comes_first(decoder):
    frames, lengths = torch.randn(3, 7, 16), torch.tensor([7, 4, 2])
    found = rescore(decoder, frames, lengths, CANDIDATES, ctc_weight=0.4, length_bonus=0.2)
    assert [len(row) for row in found] == [3, 0, 1]
    for row, before, after in zip(range(3), CANDIDATES, found, strict=True):
        expected = {}
        for hypothesis in before:
            tokens = torch.tensor(hypothesis.tokens, dtype=torch.int64)[None]
            heard = frames[row : row + 1, : int(lengths[row])]
            decoded = -decoder.loss(heard, lengths[row : row + 1], tokens, torch.tensor([tokens.shape[1]])).item()
            bonus = 0.2 * len(hypothesis.tokens)
            expected[hypothesis.tokens] = 0.6 * decoded + 0.4 * hypothesis.score + bonus
        assert [h.score for h in after] == sorted((h.score for h in after), reverse=True)
        for hypothesis in after:
            assert hypothesis.score == pytest.approx(expected[hypothesis.tokens], abs=1e-4)
    kept = next(h for h in found[0] if h.tokens == (3, 4, 5))
    assert kept.frames == (0, 2, 4)


def test_with_the_first_search_alone_nothing_changes(decoder):
    frames, lengths = torch.randn(3, 7, 16), torch.tensor([7, 4, 2])
    assert rescore(decoder, frames, lengths, CANDIDATES, ctc_weight=1.0) == CANDIDATES


def test_nothing_to_rescore(decoder):
    assert rescore(decoder, torch.randn(2, 3, 16), torch.tensor([3, 3]), [[], []]) == [[], []]


def test_a_decoder_in_a_loop_adds_nothing(decoder):
    """It weighs what it is given, whatever it would go on to say itself."""
    with torch.no_grad():
        decoder.project.bias[3] = 100.0  # 3, for ever
    frames, lengths = torch.randn(3, 7, 16), torch.tensor([7, 4, 2])
    found = rescore(decoder, frames, lengths, CANDIDATES, length_bonus=50.0)
    assert [{h.tokens for h in row} for row in found] == [{h.tokens for h in row} for row in CANDIDATES]
