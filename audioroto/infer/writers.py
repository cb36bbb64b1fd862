"""A transcript as text, subtitles, table, JSON, ctm or TextGrid."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal, Protocol

from audioroto.errors import UserError
from audioroto.infer.segment import Segment, Word
from audioroto.infer.subtitles import Cue, make_cues
from audioroto.score.sclite import CtmWord, format_ctm
from audioroto.text.sentence_case import make_sentence_case

SENTENCE_PAUSE_SECONDS = 0.8  # before a segment that begins with a capital


class Spoken(Protocol):
    """What is written: a Transcript, which imports this module to say its formats."""

    @property
    def segments(self) -> tuple[Segment, ...]: ...

    @property
    def seconds(self) -> float: ...


def format_transcript(
    transcript: Spoken,
    format: str,
    *,
    name: str,
    about: Mapping[str, Any] | None = None,
    case: Literal["model", "sentence"] = "model",
) -> str:
    """The content of a file in one of FORMATS, for the recording called `name`.

    `about` goes into JSON beside the transcript: what it was made with. `case` "sentence" writes a transcript in
    capitals in sentence case. Raises UserError for an unknown format.
    """
    check_format(format)
    segments = [segment for segment in transcript.segments if segment.text]
    if case == "sentence":
        segments = list(iter_sentence_case(segments))
    return FORMATS[format](segments, transcript.seconds, name, about or {})


def check_format(format: str) -> None:
    """Raises UserError that lists the formats when `format` is none of them."""
    if format not in FORMATS:
        raise UserError(f"there is no format '{format}'; the formats are {', '.join(FORMATS)}")


def read_formats(text: str) -> list[str]:
    """The formats named in a text, with commas or spaces between, each once. Raises UserError for an unknown one."""
    names = list(dict.fromkeys(text.lower().replace(",", " ").split()))
    for name in names or [""]:
        check_format(name)
    return names


def iter_sentence_case(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Segments in capitals in sentence case, each as it comes.

    The first, and one after a long pause, begins with a capital.
    """
    previous_end = float("-inf")
    for segment in segments:
        starts_sentence = segment.start_seconds - previous_end >= SENTENCE_PAUSE_SECONDS
        text = make_sentence_case(segment.text, starts_sentence=starts_sentence)
        words = [replace(word, text=spelled) for word, spelled in zip(segment.words, text.split(), strict=True)]
        yield replace(segment, text=text, words=tuple(words))
        previous_end = segment.end_seconds


def _format_txt(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    return "".join(f"{segment.text}\n" for segment in segments)


def _format_srt(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    # Note: SubRip has no escapes; an arrow in the text would be taken for a line of times.
    return "\n".join(
        f"{number}\n{_format_times(cue, ',')}\n{chr(10).join(cue.lines).replace('-->', '→')}\n"
        for number, cue in enumerate(_make_cues(segments), start=1)
    )


def _format_vtt(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    escapes = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    cues = (
        f"\n{_format_times(cue, '.')}\n{chr(10).join(cue.lines).translate(escapes)}\n" for cue in _make_cues(segments)
    )
    return "".join(["WEBVTT\n", *cues])


def _format_tsv(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    rows = (
        f"{_milliseconds(segment.start_seconds)}\t{_milliseconds(segment.end_seconds)}\t{segment.text}\n"
        for segment in segments
    )
    return "".join(["start\tend\ttext\n", *rows])


def _format_json(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    rows = [
        {
            "start": round(segment.start_seconds, 3),
            "end": round(segment.end_seconds, 3),
            "text": segment.text,
            "words": [
                {
                    "text": word.text,
                    "start": round(word.start_seconds, 3),
                    "end": round(word.end_seconds, 3),
                    "confidence": round(word.confidence, 3),
                }
                for word in segment.words
            ],
        }
        for segment in segments
    ]
    text = " ".join(segment.text for segment in segments)
    facts = {"text": text, "duration": round(seconds, 3), "segments": rows, **about}
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


def _format_ctm(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    recording = "_".join(name.split())  # fields are separated by spaces
    return format_ctm(
        CtmWord(recording, word.start_seconds, word.end_seconds - word.start_seconds, word.text, word.confidence)
        for word in _list_words(segments)
    )


def _format_textgrid(segments: Sequence[Segment], seconds: float, name: str, about: Mapping[str, Any]) -> str:
    """Praat's long text format; intervals of each tier cover the whole recording."""
    duration = max(1, _milliseconds(seconds))
    tiers: dict[str, Sequence[Word | Segment]] = {"words": _list_words(segments), "segments": segments}
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {duration / 1000:.3f}"]
    lines += ["tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (tier, spans) in enumerate(tiers.items(), start=1):
        places = [(_milliseconds(span.start_seconds), _milliseconds(span.end_seconds)) for span in spans]
        intervals = _fill_intervals(places, [span.text for span in spans], duration)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{tier}"']
        lines += ["        xmin = 0", f"        xmax = {duration / 1000:.3f}"]
        lines += [f"        intervals: size = {len(intervals)}"]
        for place, (start, end, text) in enumerate(intervals, start=1):
            quoted = text.replace('"', '""')
            lines += [f"        intervals [{place}]:", f"            xmin = {start / 1000:.3f}"]
            lines += [f"            xmax = {end / 1000:.3f}", f'            text = "{quoted}"']
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Sequence[Segment], float, str, Mapping[str, Any]], str]] = {
    "txt": _format_txt,
    "srt": _format_srt,
    "vtt": _format_vtt,
    "tsv": _format_tsv,
    "json": _format_json,
    "ctm": _format_ctm,
    "textgrid": _format_textgrid,
}


def _fill_intervals(places: list[tuple[int, int]], texts: Sequence[str], duration: int) -> list[tuple[int, int, str]]:
    """Starts, ends (milliseconds) and texts without gap or overlap from 0 to `duration`, each 1 ms long or more."""
    edges = [0]
    for start, end in places:
        start = max(start, edges[-1])
        edges += [start, max(end, start + 1)]
    latest = duration
    for place in range(len(edges) - 1, 0, -1):  # texts that end together at the recording's end make room
        edges[place] = latest = min(edges[place], latest)
        latest -= place % 2 == 0
    pauses = zip(edges[::2], [*edges[1::2], duration], [""] * (len(places) + 1), strict=True)
    spoken = zip(edges[1::2], edges[2::2], texts, strict=True)
    return [interval for interval in sorted([*pauses, *spoken]) if interval[0] < interval[1]]


def _make_cues(segments: Sequence[Segment]) -> list[Cue]:
    return make_cues(_list_words(segments), tuple(accumulate(len(segment.words) for segment in segments)))


def _list_words(segments: Sequence[Segment]) -> list[Word]:
    return [word for segment in segments for word in segment.words]


def _format_times(cue: Cue, point: str) -> str:
    return f"{_format_time(cue.start_seconds, point)} --> {_format_time(cue.end_seconds, point)}"


def _format_time(seconds: float, point: str) -> str:
    # Note: rounded once, as a whole; parts that are rounded each by themselves give 00:00:60.
    whole, milliseconds = divmod(_milliseconds(seconds), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{milliseconds:03}"


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
