from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from audioroto.cli.prepare import app


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """One utterance in LibriSpeech's layout, which a table and a Kaldi data directory name as well."""
    chapter = tmp_path / "dev" / "61" / "5"
    chapter.mkdir(parents=True)
    soundfile.write(chapter / "61-5-0000.flac", np.full(16000, 0.1, dtype=np.float32), 16000)
    (chapter / "61-5.trans.txt").write_text("61-5-0000 ONE TWO\n")
    (tmp_path / "table.tsv").write_text("dev/61/5/61-5-0000.flac\t61\tONE TWO\n")
    (tmp_path / "kaldi").mkdir()
    (tmp_path / "kaldi" / "wav.scp").write_text(f"61-5-0000 flac -c -d -s {chapter / '61-5-0000.flac'} |\n")
    (tmp_path / "kaldi" / "text").write_text("61-5-0000 ONE TWO\n")
    (tmp_path / "kaldi" / "utt2spk").write_text("61-5-0000 61\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "split"),
    [
        (["librispeech", "--corpus-dir", ".", "dev"], "dev"),
        (["librispeech", "--corpus-dir", "."], "dev"),
        (["table", "table.tsv", "--split", "own"], "own"),
        (["kaldi", "kaldi"], "kaldi"),
    ],
)
def test_each_corpus_ends_in_the_same_data_directory(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], split: str
) -> None:
    monkeypatch.chdir(corpus)
    result = CliRunner().invoke(app, [*words, "--out-dir", "out"], catch_exceptions=False)
    assert result.exit_code == 0
    row = next(line for line in result.output.splitlines() if split in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [split, "1", "0.00", "1", "2"]
    assert (corpus / "out" / split / "utt2dur").read_text() == "61-5-0000 1.0\n"
    assert (corpus / "out" / split / "wav.scp").read_text() == f"61-5-0000 {corpus}/dev/61/5/61-5-0000.flac\n"
