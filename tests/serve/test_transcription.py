"""OpenAI's own client, and httpx for what that client would not send, against a real server."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import httpx

from audioroto.infer.transcript import Transcript
from audioroto.serve.limits import Limits

PATH = "/v1/audio/transcriptions"


@pytest.fixture
def client(server):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def expected(recognizer, clips) -> Transcript:
    return recognizer.transcribe(clips[0])


def send(server, clip, headers=None, timeout=20, **fields):
    with open(clip, "rb") as file:
        return httpx.post(
            server.url + PATH, files={"file": ("a.wav", file)}, data=fields, headers=headers, timeout=timeout
        )


def test_openais_client_gets_every_format(client, clips, expected):
    def ask(**options):
        return client.audio.transcriptions.create(model="tones", file=clips[0], **options)

    assert expected.text
    assert ask().text == expected.text
    assert ask(response_format="text") == expected.to_text()
    assert ask(response_format="srt") == expected.to_srt()
    assert ask(response_format="vtt") == expected.to_vtt()
    verbose = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en")
    assert (verbose.text, verbose.language) == (expected.text, "en")
    assert verbose.duration == pytest.approx(expected.seconds, abs=1e-3)
    assert [segment.text for segment in verbose.segments] == [segment.text for segment in expected.segments]
    assert [word.word for word in verbose.words] == expected.text.split()
    for word, heard in zip(verbose.words, expected.words, strict=True):
        assert (word.start, word.end) == pytest.approx((heard.start_seconds, heard.end_seconds), abs=1e-3)
        assert word.confidence == pytest.approx(heard.confidence, abs=1e-3)
    assert ask(response_format="verbose_json").words is None
    assert ask(response_format="verbose_json", timestamp_granularities=["word"]).segments is None


def test_openais_client_reads_events(client, clips, expected):
    events = list(client.audio.transcriptions.create(model="tones", file=clips[0], stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == expected.text


def test_openais_client_finds_the_model_and_reads_errors(client, clips):
    openai = pytest.importorskip("openai")
    assert [model.id for model in client.models.list()] == ["tones"]
    assert client.models.retrieve("tones").id == "tones"
    with pytest.raises(openai.NotFoundError, match="the model is 'tones'") as error:
        client.audio.transcriptions.create(model="whisper-1", file=clips[0])
    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("a/b")
    with pytest.raises(openai.BadRequestError, match="soundfile") as error:
        client.audio.transcriptions.create(model="tones", file=("song.mp3", b"no song at all" * 100))
    assert "song" not in error.value.body["message"]


def test_files_are_given_beside_a_verbose_answer(server, clips, expected):
    answer = send(server, clips[0], response_format="verbose_json", **{"include[]": ["srt", "txt"]}).json()
    assert answer["files"] == {"srt": expected.to_srt(), "txt": expected.to_text()}


def test_sentence_case_is_written_wherever_text_is(start_server, clips, expected):
    server = start_server(case="sentence")
    answer = send(server, clips[0], response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()
    assert answer["text"] == expected.text.capitalize()
    assert [word["word"] for word in answer["words"]] == expected.text.capitalize().split()
    assert send(server, clips[0], response_format="text").text == expected.text.capitalize() + "\n"


def test_silence_is_an_empty_text(server, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16000), 16000)
    answer = send(server, tmp_path / "silence.wav", response_format="verbose_json").json()
    assert (answer["text"], answer["segments"], answer["duration"]) == ("", [], 1.0)


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=x"}
FILE_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, {"files": {"file": ("a.wav", b"")}}),
        (400, {"files": {"file": ("a.wav", b"RIFF\0\0\0\0WAVEfmt ")}}),
        (400, {"files": {"file": ("../../etc/passwd", b"x" * 1000)}}),
        (400, {"files": {"other": ("a.wav", b"x")}}),
        (400, {"files": {"file": (None, "text, not a file")}}),
        (400, {"files": [("file", ("a.wav", b"x")), ("file", ("b.wav", b"x"))]}),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {"response_format": "docx"}}),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {"stream": "perhaps"}}),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {"stream": "true", "response_format": "srt"}}),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {"timestamp_granularities[]": "word"}}),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {"stream": "true"}}),
        (
            400,
            {
                "files": {"file": ("a.wav", b"x")},
                "data": {"timestamp_granularities[]": "syllable", "response_format": "verbose_json"},
            },
        ),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {f"field{number}": "x" for number in range(100)}}),
        (400, {"files": {"file": ("a.wav", b"x")}, "data": {"prompt": "x" * 100_000}}),
        (404, {"files": {"file": ("a.wav", b"x")}, "data": {"model": "another"}}),
        (400, {"content": b"", "headers": BOUNDARY}),
        (400, {"content": b"nonsense", "headers": BOUNDARY}),
        (400, {"content": FILE_PART + b"cut off", "headers": BOUNDARY}),
        (400, {"content": FILE_PART, "headers": {"Content-Type": "multipart/form-data"}}),
        (400, {"content": b"--x\r\nContent-Disposition: form-data\r\n\r\nx\r\n--x--\r\n", "headers": BOUNDARY}),
        (415, {"json": {"file": "a.wav"}}),
        (415, {"data": {"file": "a.wav"}}),
        (415, {"content": b"RIFF"}),
    ],
)
def test_every_bad_request_is_refused_in_openais_words(server, status, request_, caplog):
    answer = httpx.post(server.url + PATH, timeout=20, **request_)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert "Traceback" not in answer.text + caplog.text
    assert server.service.places.num_taken == 0


def test_a_form_that_is_too_much_is_told_what_is(server):
    answer = httpx.post(server.url + PATH, files=[("file", ("a.wav", b"x")), ("file", ("b.wav", b"x"))])
    assert "Too many files" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [(405, "GET", PATH), (405, "DELETE", "/v1/models"), (404, "GET", "/v1/nothing"), (404, "GET", "/../etc/passwd")],
)
def test_wrong_paths_and_methods_are_refused_alike(server, status, method, path):
    answer = httpx.request(method, server.url + path)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_playlist_opens_no_file_of_the_server(server, tmp_path, clips):
    soundfile.write(tmp_path / "secret.wav", soundfile.read(clips[0])[0], 16000)
    playlists = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n",
    }
    for name, content in playlists.items():
        (tmp_path / name).write_text(content)
        answer = send(server, tmp_path / name)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_audio")


def test_limits_of_size_and_duration(start_server, clips, tmp_path):
    server = start_server(limits=Limits(max_bytes=100_000, max_audio_seconds=3.0))
    generator = np.random.default_rng(0)
    soundfile.write(tmp_path / "large.wav", generator.normal(0, 0.1, 200_000), 16000)
    soundfile.write(tmp_path / "long.flac", np.zeros(16000 * 30), 16000)
    for clip, code in ((tmp_path / "large.wav", "file_too_large"), (tmp_path / "long.flac", "audio_too_long")):
        answer = send(server, clip)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, code)

    def unannounced():
        yield FILE_PART
        for _ in range(100):
            yield b"x" * 10_000

    answer = httpx.post(server.url + PATH, content=unannounced(), headers=BOUNDARY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "file_too_large")
    assert send(server, clips[0]).status_code == 200


def test_time_is_limited(start_server, gated, clips):
    server = start_server(gated, limits=Limits(timeout_seconds=0.5))

    def slow():
        yield FILE_PART
        for _ in range(20):
            time.sleep(0.1)
            yield b"x"

    answer = httpx.post(server.url + PATH, content=slow(), headers=BOUNDARY)
    assert (answer.status_code, answer.json()["error"]["code"]) == (408, "upload_timeout")
    gated.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(send, server, clips[0])
        time.sleep(1.0)
        gated.gate.set()
        assert (asked.result().status_code, asked.result().json()["error"]["code"]) == (503, "timeout")


def test_who_finds_no_place_is_told_to_come_back(start_server, gated, clips, wait_until):
    server = start_server(gated, limits=Limits(max_requests=2))
    with ThreadPoolExecutor(2) as pool:
        inside = [pool.submit(send, server, clips[0]) for _ in range(2)]
        wait_until(lambda: server.service.places.num_taken == 2)
        answer = send(server, clips[0])
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "queue_full")
        assert answer.headers["retry-after"] == "1"
        gated.gate.set()
        assert [asked.result().status_code for asked in inside] == [200, 200]
    assert send(server, clips[0]).status_code == 200


@pytest.mark.parametrize("fields", [{}, {"stream": "true"}])
def test_who_goes_away_frees_the_place_and_is_not_computed(start_server, gated, clips, wait_until, fields):
    server = start_server(gated, limits=Limits(max_requests=2))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, server, clips[0])
        wait_until(lambda: gated.batches == [1])
        with pytest.raises(httpx.ReadTimeout):
            send(server, clips[1], timeout=0.5, **fields)
        wait_until(lambda: server.service.places.num_taken == 1)
        gated.gate.set()
        assert first.result().status_code == 200
    assert send(server, clips[2]).status_code == 200
    assert gated.batches == [1, 1]


def test_requests_that_meet_share_a_batch_and_get_their_own_texts(start_server, gated, clips, recognizer):
    server = start_server(gated, batch_wait_seconds=0.5)
    gated.gate.set()
    with ThreadPoolExecutor(len(clips)) as pool:
        texts = [answer.json()["text"] for answer in pool.map(lambda clip: send(server, clip), clips)]
    assert texts == [recognizer.transcribe(clip).text for clip in clips]
    assert sum(gated.batches) == len(clips)
    assert max(gated.batches) > 1


def test_who_has_no_token_is_refused(start_server, clips):
    server = start_server(token="sesame")
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic sesame"},
        {"Authorization": "sésame"},
    ):
        headers = {key: value.encode() for key, value in headers.items()}
        for answer in (send(server, clips[0], headers), httpx.get(f"{server.url}/v1/models", headers=headers)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert httpx.get(f"{server.url}/metrics").status_code == 401
    assert httpx.get(f"{server.url}/health").status_code == 200
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sesame", max_retries=0) as client:
        assert client.audio.transcriptions.create(model="tones", file=clips[0]).text


def test_pages_of_other_sites_are_refused(server, clips):
    answer = send(server, clips[0], {"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_origin")
    assert send(server, clips[0], {"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_what_fails_in_the_server_says_so_without_a_traceback(start_server, gated, clips, monkeypatch):
    monkeypatch.setattr(gated, "recognize", lambda waveforms: 1 / 0)
    server = start_server(gated)
    answer = send(server, clips[0])
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "division" not in answer.text
    answer = send(server, clips[0], stream="true")
    assert answer.status_code == 500
    assert server.service.places.num_taken == 0


def test_an_error_after_the_first_event_is_an_event(start_server, clips, tmp_path):
    """A recording that turns out too long half-way, when its first segments are out already."""
    server = start_server(limits=Limits(max_audio_seconds=150), batch_seconds=1.0)
    samples = np.resize(soundfile.read(clips[0], dtype="float32")[0], 160 * 16000)
    soundfile.write(tmp_path / "long.wav", samples, 16000)
    answer = send(server, tmp_path / "long.wav", stream="true")
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert events[0]["type"] == "transcript.text.delta"
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["code"] == "audio_too_long"
