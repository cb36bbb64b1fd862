import json
import time
from contextlib import suppress

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")
pytest.importorskip("websockets")

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from audioroto.infer.live import LiveTranscriber
from audioroto.serve.limits import Limits

RATE = 16000


@pytest.fixture(scope="module")
def spoken(clips) -> np.ndarray:
    """Two utterances with pauses around them, as 16-bit samples."""
    noise = 0.003 * np.random.default_rng(0).standard_normal(RATE)
    parts = [noise, soundfile.read(clips[0])[0], noise, soundfile.read(clips[1])[0], noise]
    return (32767 * np.concatenate(parts)).astype("<i2")


def open_stream(server, **options):
    return connect(server.url.replace("http", "ws") + "/v1/audio/stream", **options)


def talk(server, samples: np.ndarray, start: dict | None = None, block: int = 1600) -> list[dict]:
    """All that is answered to these samples, sent at once."""
    with open_stream(server) as socket:
        if start is not None:
            socket.send(json.dumps({"type": "start", **start}))
        with suppress(ConnectionClosed):
            for place in range(0, len(samples), block):
                socket.send(samples[place : place + block].tobytes())
            socket.send(json.dumps({"type": "stop"}))
        return [json.loads(message) for message in iter_until_closed(socket)]


def test_partial_and_final_words_come_with_their_latency(server, recognizer, spoken):
    messages = talk(server, spoken)
    live = LiveTranscriber(recognizer.recognize, RATE)
    samples = spoken.astype(np.float32) / 32768
    heard = [one for place in range(0, len(samples), 800) for one in live.add(samples[place:][:800])] + live.finish()
    expected = [one.segment.text for one in heard if one.is_final and one.segment.text]
    finals = [message for message in messages if message["type"] == "final" and message["text"]]
    assert [message["text"] for message in finals] == expected
    assert len(expected) == 2
    assert messages[0] == {"type": "ready", "model": "tones", "sample_rate": RATE}
    assert messages[-1] == {"type": "done", "duration": len(spoken) / RATE}
    for message in messages[1:-1]:
        assert " ".join(word["word"] for word in message["words"]) == message["text"]
        assert 0 <= message["start"] < message["end"] <= message["heard_seconds"] <= len(spoken) / RATE
        assert 0 < message["latency_seconds"] < 20


def test_partial_words_come_while_one_speaks(server, spoken):
    with open_stream(server) as socket:
        socket.send(json.dumps({"type": "start", "interval_seconds": 0.2}))
        assert json.loads(socket.recv(timeout=20))["type"] == "ready"
        for place in range(0, 28_000, 1600):
            socket.send(spoken[place : place + 1600].tobytes())
            time.sleep(0.02)
        assert json.loads(socket.recv(timeout=20))["type"] == "partial"


def test_another_rate_is_resampled(server, spoken):
    doubled = np.repeat(spoken, 2)
    said = [message["text"] for message in talk(server, doubled, {"sample_rate": 32_000}) if message["type"] == "final"]
    assert len(said) == 2
    assert all(said)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([b"odd"], "invalid_message"),
        (["no json"], "invalid_message"),
        (["[1]"], "invalid_message"),
        (['{"type": "start", "sample_rate": 1}'], "invalid_value"),
        (['{"type": "start", "interval_seconds": "often"}'], "invalid_value"),
        ([b"\0\0", '{"type": "start"}'], "invalid_message"),
        ([b"\0\0", '{"type": "sing"}'], "invalid_message"),
        ([b"\0\0" * 16_000] * 5, "audio_too_long"),
        ([], "idle"),
    ],
)
def test_what_makes_no_sense_ends_the_stream_with_a_reason(start_server, wait_until, messages, code):
    server = start_server(limits=Limits(max_audio_seconds=4.0, idle_seconds=1.0))
    with open_stream(server) as socket:
        for message in messages:
            socket.send(message)
        answers = [json.loads(answer) for answer in iter_until_closed(socket)]
        assert answers[-1]["type"] == "error"
        assert answers[-1]["error"]["code"] == code
        assert socket.close_code == 1008
    wait_until(lambda: server.service.places.num_taken == 0)


def test_a_stream_takes_a_place_until_it_ends(start_server, wait_until):
    server = start_server(limits=Limits(max_requests=1))
    with open_stream(server) as first:
        first.send(b"\0\0")
        first.recv(timeout=20)
        with open_stream(server) as second:
            assert json.loads(second.recv(timeout=20))["error"]["code"] == "queue_full"
            with pytest.raises(ConnectionClosed):
                second.recv(timeout=20)
            assert second.close_code == 1013
    wait_until(lambda: server.service.places.num_taken == 0)


def test_a_token_comes_in_the_header_or_in_the_start(start_server, spoken):
    server = start_server(token="sesame")
    assert talk(server, spoken, {"token": "sesame"})[-1]["type"] == "done"
    assert talk(server, spoken, {"token": "wrong"})[-1]["error"]["code"] == "invalid_api_key"
    with open_stream(server, additional_headers={"Authorization": "Bearer sesame"}) as socket:
        socket.send(b"\0\0")
        assert json.loads(socket.recv(timeout=20))["type"] == "ready"
    with open_stream(server, additional_headers={"Sec-Fetch-Site": "cross-site"}) as socket:
        assert json.loads(socket.recv(timeout=20))["error"]["code"] == "cross_origin"


def iter_until_closed(socket):
    try:
        while True:
            yield socket.recv(timeout=20)
    except ConnectionClosed:
        return
