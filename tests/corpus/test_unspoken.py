import lzma

import pytest
import torch

from audioroto.corpus.unspoken import UnspokenText, read_unspoken_text
from audioroto.errors import UserError
from audioroto.text.tokenizer import train_tokenizer


def sentence_of(length: int, first: int) -> list[int]:
    return [first, *range(3, 2 + length)]


def test_what_is_drawn_is_whole_sentences_that_follow_from_seed_update_and_part():
    sentences = [sentence_of(length, 100 * length + number) for length in (2, 9, 4, 7) for number in range(5)]
    text = UnspokenText(sentences, most_tokens=7)
    seen = set()
    for update in range(200):
        tokens, lengths = text.draw(update, 1, 12)
        again = text.draw(update, 1, 12)
        assert torch.equal(tokens, again[0])
        assert torch.equal(lengths, again[1])
        assert tokens.dtype == torch.int64
        assert tokens.shape == (len(lengths), int(lengths.max()))
        rows = [tuple(row[:length].tolist()) for row, length in zip(tokens, lengths, strict=True)]
        assert all(list(row) in sentences for row in rows)
        assert len(set(rows)) == len(rows)
        assert not tokens.masked_fill(torch.arange(tokens.shape[1]) < lengths[:, None], 0).any()  # padded with zeros
        seen.update(rows)
    assert sorted(seen) == sorted(tuple(sentence) for sentence in sentences if len(sentence) <= 7)
    others = [text.draw(update, 2, 12)[0].tolist() for update in range(20)]
    assert others != [text.draw(update, 1, 12)[0].tolist() for update in range(20)]
    text.seed = 1
    assert others != [text.draw(update, 2, 12)[0].tolist() for update in range(20)]


def test_about_as_many_tokens_are_drawn_as_are_wanted():
    text = UnspokenText([sentence_of(1 + number % 20, number) for number in range(2000)], most_tokens=20)
    assert all(181 <= int(text.draw(update, 0, 200)[1].sum()) <= 200 for update in range(50))
    assert len(text.draw(0, 0, 1)[1]) == 1  # one at least, however long


def test_each_token_is_as_likely_as_any_other():
    text = UnspokenText([sentence_of(length, 50 + length) for length in [1] * 600 + [12] * 50], most_tokens=20)
    lengths = torch.cat([text.draw(update, 0, 24)[1] for update in range(1000)])
    assert 0.45 < int((lengths == 1).sum()) / int(lengths.sum()) < 0.55  # as in the text, of whose tokens they are half


def test_a_text_is_read_normalised_and_cut_into_sentences(tmp_path):
    path = tmp_path / "book.txt.xz"
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.write("It was 2 o'clock. “Nobody came!” said she.\n\nThe end.\n")
    tokenizer = train_tokenizer(["IT WAS TWO O'CLOCK NOBODY CAME SAID SHE THE END"], "char", 40)
    text = read_unspoken_text([path], "english-v1", tokenizer, 30)
    tokens, lengths = text.draw(0, 0, 1000)
    found = {tokenizer.decode(row[:length].tolist()) for row, length in zip(tokens, lengths, strict=True)}
    sentences = {"THE END", "IT WAS TWO O'CLOCK", "NOBODY CAME SAID SHE"}
    assert found
    assert found <= sentences
    other = read_unspoken_text([path], "english-v1", tokenizer, 18)
    assert other.digest != text.digest
    with pytest.raises(UserError, match="no sentence of 1 to 5 tokens"):
        read_unspoken_text([path], "english-v1", tokenizer, 5)
    with pytest.raises(FileNotFoundError, match=r"no\.txt"):
        read_unspoken_text([tmp_path / "no.txt"], "english-v1", tokenizer, 5)
