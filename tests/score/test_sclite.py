from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.score.sclite import CtmWord, format_ctm, format_trn, read_ctm, read_trn


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


CTM_WORDS = st.builds(
    CtmWord,
    recording=st.sampled_from(["a", "b"]),
    start_seconds=st.integers(0, 10**4).map(lambda number: number / 100),
    duration_seconds=st.integers(0, 100).map(lambda number: number / 100),
    word=st.from_regex(r"[A-Z']{1,8}", fullmatch=True),
    confidence=st.none() | st.integers(0, 1000).map(lambda number: number / 1000),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(CTM_WORDS, max_size=12))
def test_ctm_reads_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, words: list[CtmWord]) -> None:
    path = tmp_path_factory.mktemp("ctm") / "words.ctm"
    path.write_text(";; recording channel start duration word confidence\n\n" + format_ctm(words), encoding="utf-8")
    expected: dict[str, list[CtmWord]] = {}
    for word in sorted(words, key=lambda word: (word.recording, word.start_seconds)):
        expected.setdefault(word.recording, []).append(word)
    assert read_ctm(path) == expected


@pytest.mark.parametrize(
    "line", ["a 1 0.00 0.50", "a 1 zero 0.50 YES", "a 1 0.00 0.50 YES 0.9 more", "a 1 0 1 YES sure"]
)
def test_a_broken_ctm_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.ctm").write_text(f"a 1 0.00 0.50 YES\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"x\.ctm line 2: expected 'recording channel"):
        read_ctm(tmp_path / "x.ctm")
