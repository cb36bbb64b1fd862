import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audioroto.errors import UserError
from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript
from audioroto.infer.writers import FORMATS, format_transcript, read_formats

TEXTS = st.text(st.sampled_from("AB'\"&<>-é"), min_size=1, max_size=6)


@st.composite
def draw_transcripts(draw: st.DrawFn) -> Transcript:
    """Segments one after another, with pauses or none, and words that may have no duration."""
    segments, time = [], 0.0
    for _ in range(draw(st.integers(0, 4))):
        words = []
        for _ in range(draw(st.integers(0, 5))):
            start = time + draw(st.sampled_from([0.0, 0.0004, 0.3]))
            time = start + draw(st.sampled_from([0.0, 0.04, 0.7]))
            words.append(Word(draw(TEXTS), start, time, draw(st.floats(0, 1))))
        text = " ".join(word.text for word in words)
        start = words[0].start_seconds if words else time
        segments.append(Segment(text, start, time, tuple(words), -1.0))
        time += draw(st.sampled_from([0.0, 1.5]))
    return Transcript(tuple(segments), max(time, 0.1))


def make_transcript() -> Transcript:
    words = (Word("I'LL", 0.5, 0.8, 0.9), Word('SAY"', 0.8, 1.0, 0.25), Word("SO", 59.9996, 60.3, 1.0))
    first = Segment("I'LL SAY\"", 0.5, 1.0, words[:2], -1.0)
    return Transcript((first, Segment("SO", 59.9996, 60.3, words[2:], -2.0)), 61.0)


def parse_textgrid(content: str) -> dict[str, list[tuple[float, float, str]]]:
    """Tier → intervals, as Praat reads them: numbers and quoted strings in order, all else is decoration."""
    tiers = {}
    for part in content.split('class = "IntervalTier"')[1:]:
        (name,) = re.findall(r'name = "(.*)"', part)
        (size,) = re.findall(r"intervals: size = (\d+)", part)
        found = re.findall(r'intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"', part)
        assert len(found) == int(size)
        tiers[name] = [(float(start), float(end), text.replace('""', '"')) for start, end, text in found]
    return tiers


@given(draw_transcripts())
def test_intervals_of_a_textgrid_cover_the_recording(transcript):
    tiers = parse_textgrid(transcript.to_textgrid())
    assert list(tiers) == ["words", "segments"]
    for intervals in tiers.values():
        assert intervals[0][0] == 0
        assert intervals[-1][1] == pytest.approx(transcript.seconds, abs=0.0006)
        assert all(start < end for start, end, _ in intervals)
        assert all(left[1] == right[0] for left, right in itertools.pairwise(intervals))
    assert [text for _, _, text in tiers["words"] if text] == [word.text for word in transcript.words]
    assert [text for _, _, text in tiers["segments"] if text] == [s.text for s in transcript.segments if s.text]


@given(draw_transcripts())
def test_an_arrow_stands_only_between_times(transcript):
    for content, point in ((transcript.to_srt(), ","), (transcript.to_vtt(), r"\.")):
        stamp = rf"\d\d:[0-5]\d:[0-5]\d{point}\d\d\d"
        lines = [line for line in content.splitlines() if "-->" in line]
        assert all(re.fullmatch(f"{stamp} --> {stamp}", line) for line in lines)
        assert all(line[:12] < line[17:] for line in lines)
        times = [time for line in lines for time in (line[:12], line[17:])]
        assert times == sorted(times)


@given(draw_transcripts())
def test_json_says_all_of_it(transcript):
    facts = json.loads(transcript.to_json())
    assert facts["text"] == transcript.text
    assert facts["duration"] == pytest.approx(transcript.seconds, abs=0.001)
    words = [word for segment in facts["segments"] for word in segment["words"]]
    assert [word["text"] for word in words] == [word.text for word in transcript.words]
    assert [word["start"] for word in words] == pytest.approx([w.start_seconds for w in transcript.words], abs=0.001)


def test_each_format_of_a_small_transcript():
    transcript = make_transcript()
    assert transcript.to_text() == "I'LL SAY\"\nSO\n"
    assert transcript.to_tsv() == "start\tend\ttext\n500\t1000\tI'LL SAY\"\n60000\t60300\tSO\n"
    assert transcript.to_srt() == (
        "1\n00:00:00,500 --> 00:00:01,333\nI'LL SAY\"\n\n2\n00:01:00,000 --> 00:01:00,833\nSO\n"
    )
    assert transcript.to_vtt() == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.333\nI'LL SAY\"\n\n00:01:00.000 --> 00:01:00.833\nSO\n"
    )
    assert transcript.to_ctm("my file") == (
        "my_file 1 0.50 0.30 I'LL 0.900\nmy_file 1 0.80 0.20 SAY\" 0.250\nmy_file 1 60.00 0.30 SO 1.000\n"
    )
    assert '"SAY"""' in transcript.to_textgrid()


def test_the_signs_of_markup_are_escaped_in_vtt():
    word = Word("<b>&-->", 0.0, 1.0, 1.0)
    transcript = Transcript((Segment(word.text, 0.0, 1.0, (word,), 0.0),), 1.0)
    assert "\n&lt;b&gt;&amp;--&gt;\n" in transcript.to_vtt()
    assert "\n<b>&→\n" in transcript.to_srt()


def test_json_carries_what_it_was_made_with():
    about = {"model": {"name": "m", "sha256": "0"}, "settings": {"mode": "ctc_greedy"}}
    facts = json.loads(format_transcript(make_transcript(), "json", name="x", about=about))
    assert {"model": facts["model"], "settings": facts["settings"]} == about
    assert list(facts["segments"][0]) == ["start", "end", "text", "words"]
    assert list(facts["segments"][0]["words"][0]) == ["text", "start", "end", "confidence"]


@pytest.mark.parametrize("format", FORMATS)
def test_silence_has_every_format(format):
    content = format_transcript(Transcript((), 0.0, gated=True), format, name="silence")
    assert "-->" not in content
    assert content == "" or content.endswith("\n")


def test_sentence_case_reaches_words_and_segments_after_a_long_pause():
    transcript = make_transcript()
    assert format_transcript(transcript, "txt", name="x", case="sentence") == "I'll say\"\nSo\n"
    ctm = format_transcript(transcript, "ctm", name="x", case="sentence")
    assert [line.split()[4] for line in ctm.splitlines()] == ["I'll", 'say"', "So"]
    words = (Word("SO", 1.2, 1.4, 1.0),)
    soon = Transcript((transcript.segments[0], Segment("SO", 1.2, 1.4, words, 0.0)), 2.0)
    assert format_transcript(soon, "txt", name="x", case="sentence") == "I'll say\"\nso\n"


def test_an_unknown_format_is_refused_with_the_names():
    with pytest.raises(UserError, match=r"docx.*txt, srt, vtt, tsv, json, ctm, textgrid"):
        format_transcript(make_transcript(), "docx", name="x")


def test_formats_are_read_once_each_and_refused_when_unknown():
    assert read_formats("SRT, json srt") == ["srt", "json"]
    for text in ("", "srt,doc"):
        with pytest.raises(UserError, match="the formats are txt"):
            read_formats(text)
