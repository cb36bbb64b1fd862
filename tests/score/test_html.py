import re
from html.parser import HTMLParser

from audioroto.score.evaluation import evaluate
from audioroto.score.html import MAX_CONFUSIONS, format_html
from audioroto.score.report import count_confusions

VOID = {"meta"}


class Page(HTMLParser):
    """Collects tags and text, and holds that every element is closed in its turn."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def make_page(references: dict[str, str], hypotheses: dict[str, str], speakers: dict[str, str] | None = None) -> str:
    evaluation = evaluate(references, hypotheses, "librispeech-v1", speakers)
    return format_html(evaluation, count_confusions(evaluation.alignments.values()))


def test_the_page_is_whole_and_fetches_nothing() -> None:
    html = make_page({"a-1": "THE CAT SAT", "b-1": "YES"}, {"a-1": "THE BAT SAT NOW"}, {"a-1": "a", "b-1": "b"})
    page = Page(html)
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import", html)
    assert "WER 75.00 %" in page.text
    assert "normalizer librispeech-v1" in page.text
    assert "<p>THE <del>CAT</del> <ins>BAT</ins> SAT <ins>NOW</ins></p>" in html
    assert "<p><del>YES</del></p>" in html
    assert "<tr><th>a</th><td>66.67</td><td>3</td><td>1</td><td>0</td><td>1</td></tr>" in html
    assert page.tags.count("button") == 6
    assert "prefers-color-scheme: dark" in html


def test_what_was_said_is_escaped() -> None:
    html = make_page({"<i>&": "<b>BODY</b> TITLE"}, {"<i>&": "<script>alert(1)</script>"}, {"<i>&": "<u>"})
    page = Page(html)
    assert not {"b", "i", "u"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert "<script>alert(1)</script>" in page.text
    assert "<b>BODY</b>" in page.text


def test_sentences_come_worst_first_and_right_ones_not_at_all() -> None:
    html = make_page({"u1": "A B", "u2": "C", "u3": "D E F"}, {"u1": "A X", "u2": "C"})
    assert re.findall(r"<h3>(u\d)", html) == ["u3", "u1"]
    assert "2 of 3 sentences wrong" in html


def test_lists_of_confusions_are_cut_but_their_totals_are_not() -> None:
    references = {f"u{number}": f"WORD{number}" for number in range(MAX_CONFUSIONS + 5)}
    html = make_page(references, {})
    assert f"deleted ({MAX_CONFUSIONS + 5})" in html
    assert html.count("<tr><td>1</td>") == MAX_CONFUSIONS
