"""What tests of several searches share."""

from pathlib import Path

import pytest

from audioroto.config import Config, Decoder
from audioroto.model.asr import build_model
from audioroto.model.checkpoint import Checkpoint, save_checkpoint
from audioroto.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def with_decoder(tiny_config: Config, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a decoder that has learned nothing: what it says is nonsense, but must be the same nonsense."""
    decoder = Decoder(num_blocks=1, num_heads=2, feedforward_width=32)
    config = tiny_config.model_copy(update={"decoder": decoder})
    tokenizer = Tokenizer.load(trained / "tokenizer.model")
    weights = build_model(config, tokenizer.vocab_size).state_dict()
    path = tmp_path_factory.mktemp("decoder") / "model.safetensors"
    save_checkpoint(path, Checkpoint(weights, config, tokenizer, 0, {}, {}))
    return path
