from dataclasses import replace

import pytest

from audioroto.corpus.datadir import read_datadir
from audioroto.errors import UserError
from audioroto.text.tokenizer import train_tokenizer
from audioroto.train.selection import report_dropped, select_utterances


def test_what_cannot_be_trained_on_is_left_out_with_its_reason(tone_corpus, tiny_config, tmp_path):
    good, empty, long, short, crowded = read_datadir(tone_corpus / "train")[:5]
    utterances = [
        good,
        replace(empty, text="…"),
        replace(long, seconds=99.0),
        replace(short, seconds=0.01),
        replace(crowded, text="LOW " * 30),
    ]
    tokenizer = train_tokenizer(["LOW MID HIGH"], "char", 40)
    selection = select_utterances(utterances, tokenizer, tiny_config)
    assert [utterance.id for utterance in selection.utterances] == [good.id]
    assert [utterance_id for utterance_id, _ in selection.dropped] == [u.id for u in utterances[1:]]
    reasons = ["empty", "longer", "shorter", "more labels than frames"]
    assert all(word in reason for word, (_, reason) in zip(reasons, selection.dropped, strict=True))
    assert "1 empty transcript" in report_dropped(selection, tmp_path / "dropped.tsv")
    assert len((tmp_path / "dropped.tsv").read_text().splitlines()) == 4
    with pytest.raises(UserError, match="no utterance is left"):
        report_dropped(select_utterances(utterances[1:], tokenizer, tiny_config), tmp_path / "dropped.tsv")
