"""audioroto perplexity"""

from pathlib import Path
from typing import Annotated

import typer


def perplexity(
    lm: Annotated[Path, typer.Option(help="An ARPA file, plain, .gz or .xz.")],
    text: Annotated[list[Path], typer.Option(help="UTF-8 text, plain, .gz or .xz; give it again for more files.")],
    normalizer: Annotated[str, typer.Option(help="The normaliser that the model was made with.")] = "librispeech-v1",
) -> None:
    """Print the perplexity of an n-gram language model on text, with and without the words that it does not know."""
    from audioroto.text.arpa import compute_perplexity
    from audioroto.text.sentences import iter_sentences

    result = compute_perplexity(lm, list(iter_sentences(text, normalizer)))
    print(
        f"{result.num_words:,} words, {result.num_sentences:,} sentences, "
        f"{result.num_unknown:,} unknown words ({result.num_unknown / result.num_words:.2%})\n"
        f"perplexity {result.with_unknown:.2f} with unknown words, {result.without_unknown:.2f} without"
    )
