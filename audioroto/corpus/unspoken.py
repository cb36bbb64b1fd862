"""Text that nobody has spoken, as tokens, in batches of much the same length: what the decoder alone learns from."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audioroto.errors import UserError
from audioroto.text.sentences import iter_sentences
from audioroto.text.tokenizer import Tokenizer

_ENCODED_AT_ONCE = 10_000  # sentences


class UnspokenText:
    """The sentences of a text of at most `most_tokens` tokens, from short to long. Draws are keyed by `seed`.

    Those of one length are shuffled: what is drawn together is then of many books.

    Raises UserError where there is none.
    """

    def __init__(self, sentences: Iterable[list[int]], most_tokens: int) -> None:
        kept = [np.array(tokens, np.uint16) for tokens in sentences if 0 < len(tokens) <= most_tokens]
        if not kept:
            raise UserError(f"the unspoken text has no sentence of 1 to {most_tokens} tokens, the longest transcript's")
        lengths = np.array([len(tokens) for tokens in kept])
        order = np.lexsort((np.random.default_rng(0).permutation(len(kept)), lengths))
        self.tokens = np.concatenate([kept[index] for index in order])
        self.ends = lengths[order].cumsum()  # of each sentence, in `tokens`
        self.seed = 0

    @property
    def num_sentences(self) -> int:
        """Number of sentences."""
        return len(self.ends)

    @property
    def digest(self) -> str:
        """A hash of the tokens."""
        return hashlib.sha256(self.tokens.tobytes() + self.ends.tobytes()).hexdigest()

    def draw(self, update: int, part: int, num_tokens: int) -> tuple[Tensor, Tensor]:
        """Sentences of about `num_tokens` tokens together, as padded tokens (S, U) and their lengths (S,).

        Which ones follows from seed, update and part. Each token of the text is as likely to be drawn as any other.
        """
        place = np.random.default_rng([self.seed, update, part]).integers(len(self.tokens))
        first = int(self.ends.searchsorted(place, side="right"))
        begin = int(self.ends[first - 1]) if first else 0
        last = max(first, int(self.ends.searchsorted(begin + num_tokens, side="right")) - 1)
        rows = np.split(self.tokens[begin : self.ends[last]].astype(np.int64), self.ends[first:last] - begin)
        lengths = torch.tensor([len(row) for row in rows])
        return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True), lengths


def read_unspoken_text(
    paths: Iterable[str | Path], normalizer: str, tokenizer: Tokenizer, most_tokens: int
) -> UnspokenText:
    """The sentences of text files and data directories, as `iter_sentences` reads them; raises UserError as it does."""

    def encode() -> Iterable[list[int]]:
        waiting: list[str] = []
        for sentence in iter_sentences(paths, normalizer):
            waiting.append(sentence)
            if len(waiting) == _ENCODED_AT_ONCE:
                yield from tokenizer.encode_all(waiting)
                waiting.clear()
        yield from tokenizer.encode_all(waiting)

    return UnspokenText(encode(), most_tokens)
