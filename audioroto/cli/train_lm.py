"""audioroto train-lm"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import Device


def train_lm(
    text: Annotated[
        list[Path], typer.Option(help="UTF-8 text, plain, .gz or .xz, or a data directory; give it again for more.")
    ],
    tokenizer: Annotated[
        Path, typer.Option(help="Model made by 'audioroto tokenizer', or a recogniser, which has its own in it.")
    ],
    valid_text: Annotated[Path, typer.Option(help="Text or data directory to print the perplexity of; no test set.")],
    exp_dir: Annotated[Path, typer.Option(help="Experiment folder; an interrupted run there goes on.")],
    max_updates: Annotated[int, typer.Option(min=1, help="Updates in the run.")] = 5000,
    batch_tokens: Annotated[int, typer.Option(min=1, help="Tokens of the text in an update.")] = 4096,
    learning_rate: Annotated[float, typer.Option(min=1e-9, help="Peak learning rate.")] = 3e-3,
    width: Annotated[int, typer.Option(min=1, help="Channels; a multiple of twice the heads.")] = 256,
    num_blocks: Annotated[int, typer.Option(min=1, help="Blocks of attention and feed-forward.")] = 4,
    num_heads: Annotated[int, typer.Option(min=1, help="Attention heads.")] = 4,
    feedforward_width: Annotated[int, typer.Option(min=1, help="Hidden width of the feed-forward.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="The seed of weights and draws.")] = 1,
    normalizer: Annotated[str, typer.Option(help="The normaliser of the recogniser.")] = "librispeech-v1",
    device: Device = "auto",
) -> None:
    """Train a neural language model over a recogniser's tokens, for attention and joint search.

    Search with it by --set search.neural_lm=EXP/lm.safetensors --set search.neural_lm_weight=0.5, or let
    'audioroto tune' find the weight. Ctrl-C saves, and the same command goes on from there.
    """
    from rich.console import Console

    from audioroto.config import Train
    from audioroto.corpus.unspoken import read_unspoken_text
    from audioroto.errors import UserError
    from audioroto.model.checkpoint import load_checkpoint
    from audioroto.model.language_model import Shape
    from audioroto.text.sentences import iter_sentences
    from audioroto.text.tokenizer import Tokenizer
    from audioroto.train.language_model import MOST_TOKENS, train_language_model

    if width % (2 * num_heads):
        raise UserError(f"--width {width} must be a multiple of twice --num-heads, {2 * num_heads}")
    own = Tokenizer.load(tokenizer) if tokenizer.suffix == ".model" else load_checkpoint(tokenizer).tokenizer
    valid_sentences = list(iter_sentences([valid_text], normalizer))
    if not valid_sentences:
        raise UserError(f"--valid-text {valid_text} has no words")
    out = train_language_model(
        read_unspoken_text(text, normalizer, own, MOST_TOKENS),
        valid_sentences,
        own,
        exp_dir,
        Shape(width, num_blocks, num_heads, feedforward_width),
        Train(max_updates=max_updates, learning_rate=learning_rate, seed=seed),
        batch_tokens,
        device=device,
        console=Console(stderr=True),
    )
    print(out)
