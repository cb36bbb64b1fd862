import torch
from rich.console import Console

from audioroto.config import Decoder, Unspoken
from audioroto.train.metrics import read_metrics
from audioroto.train.trainer import Trainer
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


def test_what_nobody_has_said_is_learned_from_text(tiny_config, tone_corpus, trained, tmp_path):
    """Of a sentence that no transcript has, over and over: the decoder expects it where it hears nothing."""
    sentence, text = "LOW LOW LOW HIGH", tmp_path / "book.txt"
    text.write_text(f"{sentence}\n" * 50)
    config = tiny_config.model_copy(
        update={
            "decoder": Decoder(num_blocks=1, num_heads=2, feedforward_width=32, dropout=0.0),
            "train": tiny_config.train.model_copy(update={"max_updates": 60, "num_workers": 0}),
        }
    )
    unspoken = Unspoken(text=str(text), normalizer="librispeech-v1", tokens_ratio=1.0, weight=0.5)
    losses = {}
    for name, each in {"with": config.model_copy(update={"unspoken": unspoken}), "without": config}.items():
        paths = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model", tmp_path / name)
        trainer = Trainer(each, *paths, device="cpu", console=Console(quiet=True))
        trainer.resume(restart=False)
        trainer.run()
        trainer.model.eval()
        tokens = torch.tensor([trainer.tokenizer.encode(sentence)])
        decoder = trainer.model.decoder
        losses[name] = decoder.loss(*decoder.hear_nothing(1), tokens, torch.tensor([tokens.shape[1]])).item()
        metrics = [line for line in read_metrics(tmp_path / name / "metrics.jsonl") if "train_loss" in line]
        assert ["train_unspoken_loss" in line for line in metrics] == [name == "with"] * 12
    assert metrics
    assert losses["with"] < 0.3 * losses["without"]
