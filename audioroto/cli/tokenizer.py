"""audioroto tokenizer"""

from pathlib import Path
from typing import Annotated

import typer

from audioroto.cli.options import ConfigFiles, Overrides


def tokenizer(
    text: Annotated[Path, typer.Option(help="Kaldi text file, or a data directory that has one.")],
    out: Annotated[Path, typer.Option(help="The tokenizer model to write.")],
    config: ConfigFiles = None,
    overrides: Overrides = None,
) -> None:
    """Train the tokenizer on transcripts; units, size and normaliser are the configuration's, section text."""
    from audioroto.config import load_config
    from audioroto.corpus.datadir import read_table
    from audioroto.text.normalize import normalize
    from audioroto.text.tokenizer import train_tokenizer

    settings = load_config(config or [], overrides or []).text
    transcripts = read_table(text / "text" if text.is_dir() else text).values()
    normalized = [normalize(transcript, settings.normalizer) for transcript in transcripts]
    trained = train_tokenizer(normalized, settings.units, settings.vocab_size)
    trained.save(out)
    sample = next(filter(None, normalized))
    print(f"{out}: {trained.vocab_size} {settings.units} units from {len(normalized)} transcripts")
    print("units:", " ".join(trained.pieces))
    print("sample:", sample, "=", " ".join(trained.pieces[token] for token in trained.encode(sample)))
