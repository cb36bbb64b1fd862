"""A transcript in the shapes that OpenAI's clients read, whole or as events."""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse, PlainTextResponse, Response

from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript
from audioroto.infer.writers import format_transcript
from audioroto.serve.upload import Wish

_MEDIA_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}
_WRITERS = {"text": "txt"}  # where a format of ours has another name


def make_response(transcript: Transcript, wish: Wish) -> Response:
    """The whole answer, in the format that was wished for."""
    if wish.response_format in _MEDIA_TYPES:
        name = wish.response_format
        text = format_transcript(transcript, _WRITERS.get(name, name), name="file")
        return PlainTextResponse(text, media_type=_MEDIA_TYPES[name])
    return JSONResponse(make_body(transcript, wish))


def make_body(transcript: Transcript, wish: Wish) -> dict[str, Any]:
    """The JSON of a transcript: `text` and `usage`, and with verbose_json duration, segments, words, files."""
    body: dict[str, Any] = {
        "text": transcript.text,
        "usage": {"type": "duration", "seconds": math.ceil(transcript.seconds)},
    }
    if wish.response_format == "json":
        return body
    body |= {"task": "transcribe", "language": wish.language, "duration": round(transcript.seconds, 3)}
    if "segment" in wish.timestamp_granularities or not wish.timestamp_granularities:
        body["segments"] = [describe_segment(number, segment) for number, segment in enumerate(transcript.segments)]
    if "word" in wish.timestamp_granularities:
        body["words"] = describe_words(transcript.words)
    if wish.include:
        body["files"] = {format: format_transcript(transcript, format, name="file") for format in wish.include}
    return body


def describe_segment(number: int, segment: Segment) -> dict[str, Any]:
    """A segment in OpenAI's fields. `avg_logprob` is the mean logarithm of its words' confidences."""
    text = segment.text.encode()
    confidences = [max(word.confidence, 1e-6) for word in segment.words]
    return {
        "id": number,
        "seek": round(100 * segment.start_seconds),  # hundredths of a second
        "start": round(segment.start_seconds, 3),
        "end": round(segment.end_seconds, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(map(math.log, confidences)) / max(1, len(confidences)), 4),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": 0.0,  # what has no speech in it is no segment
    }


def describe_words(words: Sequence[Word]) -> list[dict[str, Any]]:
    """Words in OpenAI's fields, and how sure the model is of each."""
    return [
        {
            "word": word.text,
            "start": round(word.start_seconds, 3),
            "end": round(word.end_seconds, 3),
            "confidence": round(word.confidence, 3),
        }
        for word in words
    ]


def make_delta(number: int, segment: Segment, wish: Wish) -> str:
    """The event of a segment that was found; with verbose_json it has the segment and its words, too."""
    event: dict[str, Any] = {"type": "transcript.text.delta", "delta": f"{' ' if number else ''}{segment.text}"}
    if wish.response_format == "verbose_json":
        event |= {"segment": describe_segment(number, segment), "words": describe_words(segment.words)}
    return format_event(event)


def make_done(transcript: Transcript, wish: Wish) -> str:
    """The last event, with all that a whole answer has."""
    return format_event({"type": "transcript.text.done", **make_body(transcript, wish)})


def format_event(event: Mapping[str, Any]) -> str:
    """An event as a line of a text/event-stream."""
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
