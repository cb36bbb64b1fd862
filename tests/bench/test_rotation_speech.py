import io

import pytest
import torch
from rich.console import Console

from audioroto.bench.rotation_speech import (
    collect_covariance,
    mean_correlation,
    measure_decorrelation,
    measure_gap,
    train_small_models,
)
from audioroto.corpus.datadir import read_datadir
from audioroto.errors import UserError
from audioroto.model.checkpoint import load_checkpoint
from audioroto.nn.attention import HybridAttention

TINY = (
    "encoder.width=16",
    "encoder.num_blocks=2",
    "encoder.feedforward_width=16",
    "encoder.subsampling_channels=2",
    "train.batch_seconds=4",
    "train.precision=float32",
)


@pytest.fixture(scope="module")
def runs(tone_corpus, tmp_path_factory):
    console = Console(file=io.StringIO())
    return train_small_models(tone_corpus, tmp_path_factory.mktemp("speech"), console, num_updates=2, extra=TINY)


def test_correlation_of_known_covariances():
    assert mean_correlation(torch.eye(4).double()) == 0
    assert mean_correlation(torch.tensor([[4.0, 1.0], [1.0, 1.0]]).double()) == pytest.approx(0.5)
    assert mean_correlation(torch.ones(3, 3).double()) == pytest.approx(1)


def test_what_finished_is_not_done_again(runs):
    before = {path: path.stat().st_mtime_ns for path in runs.models.values()}
    console = Console(file=io.StringIO())
    again = train_small_models(runs.data_dir, runs.folder, console, num_updates=2, extra=TINY)
    assert {path: path.stat().st_mtime_ns for path in again.models.values()} == before


def test_covariance_is_of_what_the_rotation_meets(runs):
    """Turned by the rotation, it is the covariance of what comes out of the layer's own code."""
    checkpoint = load_checkpoint(runs.models["with"])
    model = checkpoint.build()
    utterances = read_datadir(runs.data_dir / "valid")[:2]
    heard = []
    original = HybridAttention._normalize_and_rotate

    def listen(self, matched, values, rotation):
        turned = original(self, matched, values, rotation)
        heard.append(turned[0][:, :, 0].double())  # (2, H, T, K)
        return turned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HybridAttention, "_normalize_and_rotate", listen)
        covariance = collect_covariance(model, utterances, checkpoint.config)
    first_layer = torch.cat(heard[::2], dim=-2)
    centred = first_layer - first_layer.mean(-2, keepdim=True)
    turned = centred.mT @ centred / centred.shape[-2]
    rotation = model.encoder.rotation().detach().double()[0]
    torch.testing.assert_close(rotation.mT @ covariance[0] @ rotation, turned, rtol=1e-4, atol=1e-5)


def test_decorrelation_has_its_controls(runs):
    claim = measure_decorrelation({"m": runs.models["with"]}, runs.data_dir / "valid")
    found = claim.figures["m"]
    assert found["principal components"] < 1e-6 < found["before"]
    assert len(found) == len(claim.rows) == 5
    with pytest.raises(UserError, match="no rotation"):
        measure_decorrelation({"m": runs.models["without"]}, runs.data_dir / "valid")


def test_the_gap_is_between_speech_seen_and_not_seen(runs):
    figures = measure_gap(runs).figures
    assert list(figures) == ["with", "without"]
    for found in figures.values():
        assert found["gap"] == pytest.approx(found["valid_loss"] - found["train_loss"])
        assert found["updates"] == 2
