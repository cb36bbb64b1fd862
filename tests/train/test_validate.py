import pytest

from audioroto.corpus.datadir import read_datadir, write_datadir
from audioroto.errors import UserError
from audioroto.text.tokenizer import Tokenizer
from audioroto.train.validate import open_validation_set


def test_a_set_without_transcripts_chooses_no_checkpoints(tiny_config, tone_corpus, trained, tmp_path):
    """The most silent model would make the fewest errors."""
    write_datadir(tmp_path / "valid", read_datadir(tone_corpus / "valid"))
    (tmp_path / "valid" / "text").unlink()
    with pytest.raises(UserError, match="valid has no transcripts to choose checkpoints by; give a --valid-dir"):
        open_validation_set(tmp_path / "valid", Tokenizer.load(trained / "tokenizer.model"), tiny_config)
