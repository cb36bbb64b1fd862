from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.score.sclite import CtmWord, format_ctm, format_trn, read_trn


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.from_regex(r"[a-z0-9_-]{1,12}", fullmatch=True), st.text("AB' ", max_size=12)))
def test_trn_reads_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("trn") / "hyp.trn"
    path.write_text(format_trn(texts), encoding="utf-8")
    assert read_trn(path) == {name: text.strip() for name, text in texts.items()}


def test_trn_lines() -> None:
    assert format_trn({"a-1": "THE CAT", "a-2": ""}) == "THE CAT (a-1)\n(a-2)\n"


def test_trn_comments_and_inner_brackets(tmp_path: Path) -> None:
    (tmp_path / "x.trn").write_text(";; made by hand\r\n\r\nTHE (BIG) CAT (a-1)\r\n", encoding="utf-8")
    assert read_trn(tmp_path / "x.trn") == {"a-1": "THE (BIG) CAT"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"THE CAT (a-1)\nTHE CAT\n", r"x\.trn line 2: expected 'WORDS \(utterance-id\)'"),
        (b"A (a-1)\nB (a-1)\n", r"x\.trn line 2: utterance a-1 occurs twice"),
        (b"\xff\xfe (a-1)\n", r"x\.trn is not UTF-8"),
    ],
)
def test_a_broken_trn_is_refused_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.trn").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_trn(tmp_path / "x.trn")


def test_ctm_is_sorted_by_recording_and_time() -> None:
    words = [CtmWord("b", 0.0, 0.5, "YES"), CtmWord("a", 1.25, 0.304, "CAT", 0.5), CtmWord("a", 0.5, 0.25, "THE", 1.0)]
    assert format_ctm(words) == "a 1 0.50 0.25 THE 1.000\na 1 1.25 0.30 CAT 0.500\nb 1 0.00 0.50 YES\n"
