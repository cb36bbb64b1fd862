import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from audioroto.corpus.datadir import read_datadir, write_datadir
from audioroto.corpus.unspoken import UnspokenText
from audioroto.errors import UserError
from audioroto.text.tokenizer import train_tokenizer
from audioroto.train.selection import (
    describe_shared_speakers,
    fingerprint,
    make_report,
    preview_training,
    read_unspoken,
    select_utterances,
    write_dropped,
)


@pytest.fixture
def tokenizer():
    return train_tokenizer(["LOW MID HIGH"], "char", 40)


@pytest.fixture
def utterances(tone_corpus):
    """Two that can be trained on, the second not without <unk>, and one for each reason to leave one out."""
    good, strange, empty, long, short, crowded = read_datadir(tone_corpus / "train")[:6]
    return [
        good,
        replace(strange, seconds=1.8, text="LOW ZAX"),
        replace(empty, text="…"),
        replace(long, seconds=99.0),
        replace(short, seconds=0.01),
        replace(crowded, text="LOW " * 30),
    ]


def show(table) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    return console.file.getvalue().splitlines()


def test_what_cannot_be_trained_on_is_left_out_with_its_reason(utterances, tokenizer, tiny_config, tmp_path):
    selection = select_utterances(utterances, tokenizer, tiny_config)
    assert selection.utterances == utterances[:2]
    assert [utterance for utterance, _ in selection.dropped] == utterances[2:]
    reasons = ["empty", "longer", "shorter", "more labels than frames"]
    assert all(word in reason for word, (_, reason) in zip(reasons, selection.dropped, strict=True))
    write_dropped(selection, tmp_path / "dropped.tsv")
    lines = (tmp_path / "dropped.tsv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[1] == f"{utterances[3].id}\t99.00\tlonger than train.max_utterance_seconds"


def test_nothing_left_is_refused_with_the_reasons(utterances, tokenizer, tiny_config, tmp_path):
    with pytest.raises(UserError, match="no utterance is left to train on: 1 empty transcript; 1 longer"):
        write_dropped(select_utterances(utterances[2:], tokenizer, tiny_config), tmp_path / "dropped.tsv")


def test_the_report_counts_utterances_and_hours(utterances, tokenizer, tiny_config):
    selection = select_utterances(utterances, tokenizer, tiny_config)
    assert selection.unknown == [utterances[1]]
    assert selection.unknown_characters == "AXZ"
    lines = show(make_report(selection, Path("data/train")))
    assert any("data/train, 1 speakers" in line for line in lines)
    for words, count, hours in [
        ("trained on", 2, "0.00"),
        ("left out: empty", 1, "0.00"),
        ("left out: longer", 1, "0.03"),
        ("left out: shorter", 1, "0.00"),
        ("left out: more labels", 1, "0.00"),
        ("<unk>, for want of a token: A X Z", 1, "0.00"),
    ]:
        cells = next(line for line in lines if words in line).split("│")
        assert [cell.strip() for cell in cells[2:4]] == [str(count), hours], words


def test_speakers_on_both_sides_are_named(utterances):
    others = [replace(utterances[0], speaker=name) for name in ("z", *"abcdefghijkl")]
    mine = [replace(utterance, speaker=name) for utterance, name in zip(utterances, "abcxyw", strict=True)]
    assert "3 of its speakers are trained on too (a b c)" in describe_shared_speakers(mine, others, Path("valid"))
    assert "13 of" in (text := describe_shared_speakers(others, others, Path("valid")))
    assert "j …)" in text
    assert describe_shared_speakers(mine, others[4:7], Path("valid")) == ""


def test_a_preview_makes_the_tokenizer_that_there_is_not_yet(tone_corpus, tiny_config, tokenizer, tmp_path):
    selection, warnings = preview_training(tone_corpus / "train", [tone_corpus / "valid"], None, tiny_config)
    assert len(selection.utterances) == 48
    assert warnings == []
    write_datadir(tmp_path / "test", read_datadir(tone_corpus / "train")[:1])
    tokenizer.save(tmp_path / "tokenizer.model")
    _, warnings = preview_training(
        tone_corpus / "train",
        [tone_corpus / "valid", tmp_path / "test"],
        tmp_path / "tokenizer.model",
        tiny_config,
    )
    assert [str(tmp_path / "test") in warning for warning in warnings] == [True]


def test_unspoken_text_has_no_sentence_longer_than_any_transcript(utterances, tokenizer, tiny_config, tmp_path):
    selection = select_utterances(utterances, tokenizer, tiny_config)
    (tmp_path / "book.txt").write_text("LOW\nMID MID\n" + "HIGH " * 30)
    settings = tiny_config.unspoken.model_copy(update={"text": str(tmp_path / "book.txt")})
    config = tiny_config.model_copy(update={"unspoken": settings})
    assert read_unspoken(selection, tokenizer, tiny_config) is None
    assert read_unspoken(selection, tokenizer, config).num_sentences == 2
    (tmp_path / "book.txt").unlink()
    with pytest.raises(UserError, match=r"unspoken\.text .*book\.txt is not there"):
        read_unspoken(selection, tokenizer, config)


def test_the_fingerprint_knows_utterances_tokens_noises_and_text(utterances, tokenizer, tiny_config):
    selection = select_utterances(utterances, tokenizer, tiny_config)
    other = replace(selection, utterances=[replace(selection.utterances[0], seconds=1.0), selection.utterances[1]])
    found = {
        fingerprint(selection, tokenizer),
        fingerprint(selection, tokenizer, [Path("rain.wav")]),
        fingerprint(selection, tokenizer, [Path("dog.wav")]),
        fingerprint(other, tokenizer),
        fingerprint(selection, tokenizer, unspoken=UnspokenText([[3, 4]], 5)),
        fingerprint(selection, tokenizer, unspoken=UnspokenText([[3], [4]], 5)),
    }
    assert len(found) == 6
    assert fingerprint(selection, tokenizer, [Path("a/dog.wav")]) in found  # wherever the folder lies
