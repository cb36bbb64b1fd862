import gzip
import math
import re

import pytest

from audioroto.errors import UserError
from audioroto.text.arpa import compute_perplexity, read_arpa, read_vocabulary, write_arpa
from audioroto.text.ngram import estimate_ngrams

SENTENCES = ["the cat sat", "the cat ran", "a dog sat on the cat", "the dog ran", "a cat", "sat", "café ran on"] * 2

# Written by hand: P("b" | "a") is listed, P("b" | "b") backs off, and there is no <unk>.
BY_HAND = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-99	<s>	-0.25
-0.5	</s>
-1	a	-0.5
-2	b	-0.125

\\2-grams:
-0.75	<s> a
-0.0625	a b

\\end\\
"""


@pytest.fixture
def by_hand(tmp_path):
    path = tmp_path / "hand.arpa"
    path.write_text(BY_HAND)
    return path


@pytest.mark.parametrize("order", range(1, 6))
@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_what_is_written_is_read_again(tmp_path, order, name):
    model = estimate_ngrams(SENTENCES, order)
    write_arpa(tmp_path / name, model)
    read = read_arpa(tmp_path / name)

    assert read.order == order
    assert read.vocabulary == set(model.words)
    below = [""]
    for n, table in enumerate(model.tables, 1):
        ngrams = [
            f"{below[row]} {model.words[word]}".strip() for row, word in zip(table.prefix, table.word, strict=True)
        ]
        assert [read.log10_probabilities[ngram] for ngram in ngrams] == pytest.approx(table.log10_probability, abs=1e-5)
        if n < order:
            assert [read.log10_backoffs[ngram] for ngram in ngrams] == pytest.approx(table.log10_backoff, abs=1e-5)
        below = ngrams
    assert len(read.log10_probabilities) == sum(len(table.word) for table in model.tables)
    assert all(len(ngram.split()) < order for ngram in read.log10_backoffs)


@pytest.mark.parametrize("prune", [[0], [0, 1, 1, 2]])
def test_a_file_read_back_still_sums_to_one(tmp_path, prune):
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(SENTENCES, 4, prune=prune, vocab_size=6))
    model = read_arpa(tmp_path / "lm.arpa")
    said = model.vocabulary - {"<s>", "</s>"}
    for context in ([], ["the"], ["the", "cat"], ["dog", "dog", "ran"], ["never", "heard"], ["a", "dog", "sat"]):
        total = sum(10 ** model.score_sentence([*context, word])[len(context)] for word in said)
        assert total + 10 ** model.score_sentence(context)[-1] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_the_same_text_gives_the_same_bytes(tmp_path, name):
    for folder in ("first", "second"):
        write_arpa(tmp_path / folder / name, estimate_ngrams(SENTENCES, 3))
    assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_compressed_and_plain_hold_the_same(tmp_path):
    model = estimate_ngrams(SENTENCES, 3)
    write_arpa(tmp_path / "lm.arpa", model)
    write_arpa(tmp_path / "lm.arpa.gz", model)
    assert gzip.decompress((tmp_path / "lm.arpa.gz").read_bytes()) == (tmp_path / "lm.arpa").read_bytes()


def test_the_file_has_the_form_that_other_tools_read(tmp_path):
    write_arpa(tmp_path / "lm.arpa", estimate_ngrams(SENTENCES, 2))
    text = (tmp_path / "lm.arpa").read_text(encoding="utf-8")
    number = r"-?\d+(\.\d+)?(e-\d+)?"
    assert re.fullmatch(
        rf"\\data\\\nngram 1=\d+\nngram 2=\d+\n"
        rf"\n\\1-grams:\n({number}\t\S+\t{number}\n)+"
        rf"\n\\2-grams:\n({number}\t\S+ \S+\n)+"
        r"\n\\end\\\n",
        text,
    )
    ngrams = [line.split("\t")[1] for line in text.splitlines() if "\t" in line]
    assert ngrams[:3] == ["<unk>", "<s>", "</s>"]
    assert "-99\t<s>\t" in text


def test_scores_follow_the_definition_of_backoff(by_hand):
    model = read_arpa(by_hand)
    assert model.score_sentence(["a", "b", "b"]) == pytest.approx([-0.75, -0.0625, -0.125 - 2, -0.125 - 0.5])
    assert model.score_sentence(["b", "x"]) == pytest.approx([-0.25 - 2, -0.125 - 100, -0.5])


def test_perplexity_counts_words_ends_and_unknown_words(by_hand):
    result = compute_perplexity(by_hand, ["a b b", "b x"])
    assert (result.num_words, result.num_sentences, result.num_unknown) == (5, 2, 1)
    known = -0.75 - 0.0625 - 2.125 - 0.625 - 2.25 - 0.5
    assert result.without_unknown == pytest.approx(10 ** (-known / 6))
    assert result.with_unknown == pytest.approx(10 ** (-(known - 100.125) / 7))


def test_perplexity_is_that_of_the_whole_model(tmp_path):
    write_arpa(tmp_path / "lm.arpa.gz", estimate_ngrams(SENTENCES, 4))
    sentences = ["the cat sat on a mat", "mat", "a dog ran on the dog"]
    whole = read_arpa(tmp_path / "lm.arpa.gz")
    scores = [score for sentence in sentences for score in whole.score_sentence(sentence.split())]
    result = compute_perplexity(tmp_path / "lm.arpa.gz", sentences)
    assert result.num_unknown == 2
    assert result.with_unknown == pytest.approx(10 ** (-math.fsum(scores) / len(scores)))


def test_only_what_the_sentences_need_is_kept(by_hand):
    model = read_arpa(by_hand, [["b", "b"]])
    assert set(model.log10_probabilities) == {"<s>", "</s>", "a", "b"}


def test_perplexity_of_no_text_is_refused(by_hand):
    with pytest.raises(UserError, match="no text"):
        compute_perplexity(by_hand, [])


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("\\data\\", "data", "line 1"),
        ("ngram 2=2", "ngram 3=2", "line 3"),
        ("ngram 1=4\nngram 2=2\n", "", "line 3"),
        ("ngram 2=2\n", "", "line 10"),
        ("\\2-grams:", "\\3-grams:", "line 11"),
        ("-1\ta\t-0.5\n", "", "line 10"),
        ("-1\ta", "-1 a", "line 8"),
        ("-1\ta", "one\ta", "line 8"),
        ("\\end\\\n", "", "line 14"),
    ],
)
def test_a_file_that_is_not_arpa_is_refused_with_its_line(by_hand, old, new, where):
    by_hand.write_text(BY_HAND.replace(old, new))
    with pytest.raises(UserError, match=rf"hand\.arpa {where}:"):
        read_arpa(by_hand)


def test_an_empty_file_is_refused(by_hand):
    by_hand.write_text("")
    with pytest.raises(UserError, match="ARPA"):
        read_arpa(by_hand)


def test_windows_line_ends_are_read(by_hand):
    expected = read_arpa(by_hand)
    by_hand.write_bytes(BY_HAND.replace("\n", "\r\n").encode())
    assert read_arpa(by_hand) == expected


@pytest.mark.parametrize("name", ["lm.arpa", "lm.arpa.gz"])
def test_the_vocabulary_is_that_of_the_n_gram(tmp_path, name):
    write_arpa(tmp_path / name, estimate_ngrams(SENTENCES, 3))
    model = read_arpa(tmp_path / name)
    found = read_vocabulary(tmp_path / name)
    assert set(found) == model.vocabulary - {"<s>", "</s>", "<unk>"}
    assert all(value == pytest.approx(model.log10_probabilities[word] * math.log(10)) for word, value in found.items())


def test_the_vocabulary_is_read_no_further_than_the_unigrams(by_hand):
    expected = read_vocabulary(by_hand)
    by_hand.write_text(BY_HAND.replace("\\end\\\n", "whatever\n"))
    assert read_vocabulary(by_hand) == expected
    by_hand.write_text(BY_HAND.replace("-1\ta", "one\ta", 1))
    with pytest.raises(UserError, match="line 8: not a valid ARPA file"):
        read_vocabulary(by_hand)
