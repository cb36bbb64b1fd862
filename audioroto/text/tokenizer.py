"""Text to tokens and back: sentencepiece units, or single characters, in one self-contained model."""

import io
import os
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Literal

from audioroto.errors import UserError
from audioroto.files import write_bytes

BLANK_ID = 0
UNKNOWN_ID = 1
END_ID = 2  # end of sentence, and its start: the attention decoder's first input
SPECIAL_PIECES = ("<blank>", "<unk>", "<eos>")
WORD_START = "▁"  # sentencepiece's mark; every word of every unit type begins with it, the first one too


class Tokenizer:
    """Normalised text ↔ token ids below `vocab_size`; ids 0, 1, 2 are <blank>, <unk> and <eos>.

    Made from the bytes of a model that `train_tokenizer` wrote. Raises UserError when they are anything else.
    """

    def __init__(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self.model = model
        self._processor = SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError:
            raise UserError("the tokenizer is not a sentencepiece model; make one with 'audioroto tokenizer'") from None
        if tuple(self.pieces[:3]) != SPECIAL_PIECES:
            raise UserError(
                f"the tokenizer begins with {self.pieces[:3]}, not with {list(SPECIAL_PIECES)}: it was not made by "
                "audioroto; make one with 'audioroto tokenizer'"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Tokenizer":
        """The tokenizer in a file that `save` wrote; raises UserError that names the file."""
        try:
            return cls(Path(path).read_bytes())
        except UserError as error:
            raise UserError(f"{os.fspath(path)}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, a file that sentencepiece's own tools read too."""
        write_bytes(path, self.model)

    @cached_property
    def pieces(self) -> list[str]:
        """What each id stands for; WORD_START marks the beginning of a word."""
        return [self._processor.IdToPiece(token) for token in range(self._processor.GetPieceSize())]

    @property
    def vocab_size(self) -> int:
        """Number of ids, <blank>, <unk> and <eos> included."""
        return len(self.pieces)

    def encode(self, text: str) -> list[int]:
        """Token ids of a normalised text; a character that training never saw is <unk>. Adds neither start nor end."""
        return self._processor.EncodeAsIds(text)

    def encode_all(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each of these texts, as `encode` gives them, faster."""
        return self._processor.EncodeAsIds(texts, num_threads=1)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of token ids, without <blank>, <unk> and <eos>, words separated by single spaces.

        The inverse of `encode` for normalised text of known characters; any sequence of ids below `vocab_size`
        gives a text.
        """
        spoken = (self.pieces[int(token)] for token in tokens if token > END_ID)
        return " ".join("".join(spoken).replace(WORD_START, " ").split())


def train_tokenizer(
    texts: Iterable[str], units: Literal["bpe", "unigram", "char"] = "bpe", vocab_size: int = 256
) -> Tokenizer:
    """A tokenizer for these normalised texts; the same texts, in any order, give the same bytes.

    `vocab_size` counts <blank>, <unk> and <eos>; it is exact for bpe and unigram, and an upper bound for char, which
    takes the characters that there are. Every character of the texts is a piece. Raises UserError when there is no
    text, or when `vocab_size` is too small or too large for it, naming the smallest or the largest possible.
    """
    import sentencepiece

    # Sorted, because unigram's pieces depend on the order of the texts.
    sentences = sorted(sentence for text in texts if (sentence := " ".join(text.split())))
    if not sentences:
        raise UserError("no text to train the tokenizer on: all transcripts are empty once normalised")
    characters = set().union(*sentences) - {" "} | {WORD_START}
    smallest = len(SPECIAL_PIECES) + len(characters)
    if vocab_size < smallest:
        raise UserError(
            f"text.vocab_size {vocab_size} is too small: the transcripts have {len(characters)} different characters "
            f"(a word's start is one); set it to {smallest} or more"
        )
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=units,
            vocab_size=vocab_size,
            hard_vocab_limit=units != "char",
            character_coverage=1.0,
            normalization_rule_name="identity",
            split_by_unicode_script=False,  # an apostrophe is of another script than letters: allow the piece 'S
            max_sentence_length=1 << 30,  # Note: longer sentences would be skipped without a word; the default is 4192
            pad_id=BLANK_ID,
            pad_piece=SPECIAL_PIECES[BLANK_ID],
            unk_id=UNKNOWN_ID,
            unk_piece=SPECIAL_PIECES[UNKNOWN_ID],
            eos_id=END_ID,
            eos_piece=SPECIAL_PIECES[END_ID],
            bos_id=-1,
            minloglevel=3,
        )
    except RuntimeError as error:
        largest = re.search(r"set it to a value <= (\d+)", str(error))
        if largest is None:
            raise
        raise UserError(
            f"text.vocab_size {vocab_size} is too large for {len(sentences)} transcripts: there are only "
            f"{largest[1]} {units} units in them; take text.units char or set it to {largest[1]} or less"
        ) from None
    return Tokenizer(model.getvalue())
