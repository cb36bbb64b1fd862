import pytest

from audioroto.cli.lm import lm
from audioroto.cli.perplexity import perplexity
from audioroto.errors import UserError

TEXT = "He ran. She ran!\nMr. Brown didn't run; he sat.\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_a_model_is_estimated_and_measured(text, tmp_path, capsys):
    out = tmp_path / "lm.arpa.gz"
    lm(text=[text], out=out, order=2)
    assert capsys.readouterr().out == f"{out}: 11 1-grams, 12 2-grams\n"

    text.write_text("he ran home")
    perplexity(lm=out, text=[text])
    assert "3 words, 1 sentences, 1 unknown words (33.33%)" in capsys.readouterr().out


def test_pruning_and_vocabulary_reach_the_model(text, tmp_path, capsys):
    lm(text=[text], out=tmp_path / "lm.arpa", order=2, prune="0 1", vocab_size=2)
    assert (tmp_path / "lm.arpa").read_text().startswith("\\data\\\nngram 1=5\nngram 2=1\n")

    words = tmp_path / "words.txt"
    words.write_text("RAN\nSAT\n")
    lm(text=[text], out=tmp_path / "lm.arpa", order=1, vocabulary=words)
    assert "5 1-grams" in capsys.readouterr().out


def test_thresholds_that_are_no_numbers_are_refused(text, tmp_path):
    with pytest.raises(UserError, match="--prune"):
        lm(text=[text], out=tmp_path / "lm.arpa", prune="0 x")
