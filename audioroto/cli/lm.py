"""audioroto lm"""

from pathlib import Path
from typing import Annotated

import typer


def lm(
    text: Annotated[
        list[Path], typer.Option(help="UTF-8 text, plain, .gz or .xz, or a data directory; give it again for more.")
    ],
    out: Annotated[Path, typer.Option(help="The ARPA file to write; compressed if it ends in .gz.")],
    order: Annotated[int, typer.Option(help="Words in the longest n-gram, 1 to 5.")] = 4,
    prune: Annotated[
        str,
        typer.Option(
            metavar="'N N …'",
            help="For each order, drop the n-grams that stand in the text at most so many times, as in '0 0 1 2'; "
            "the last number holds for the orders above.",
        ),
    ] = "0",
    vocab_size: Annotated[int | None, typer.Option(min=1, help="Keep so many of the most frequent words.")] = None,
    vocabulary: Annotated[Path | None, typer.Option(help="Keep the words in this file, split at white space.")] = None,
    normalizer: Annotated[str, typer.Option(help="The normaliser of the recogniser.")] = "librispeech-v1",
) -> None:
    """Estimate a modified Kneser-Ney n-gram language model from text, and write it as an ARPA file.

    A line of the text may hold a paragraph; it is cut into sentences before it is normalised.
    """
    from audioroto.errors import UserError
    from audioroto.text.arpa import write_arpa
    from audioroto.text.ngram import estimate_ngrams
    from audioroto.text.sentences import iter_sentences, read_words

    thresholds = prune.replace(",", " ").split()
    if not all(threshold.isdecimal() for threshold in thresholds):
        raise UserError(f"--prune takes whole numbers such as '0 0 1 2', not '{prune}'.")
    model = estimate_ngrams(
        iter_sentences(text, normalizer),
        order,
        prune=[int(threshold) for threshold in thresholds],
        vocab_size=vocab_size,
        vocabulary=read_words(vocabulary) if vocabulary else None,
    )
    write_arpa(out, model)
    sizes = ", ".join(f"{len(table.word):,} {n}-grams" for n, table in enumerate(model.tables, 1))
    print(f"{out}: {sizes}")
