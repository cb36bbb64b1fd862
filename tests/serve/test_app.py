import re
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import httpx

from audioroto.serve.app import PAGE, PAGE_FILES


def test_health_and_figures(server, clips):
    assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
    with open(clips[0], "rb") as file:
        httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": file}, timeout=20)
    httpx.get(f"{server.url}/whatever/{'x' * 50}")
    figures = dict(
        line.rsplit(" ", 1) for line in httpx.get(f"{server.url}/metrics").text.splitlines() if not line.startswith("#")
    )
    assert float(figures['audioroto_requests_total{path="/v1/audio/transcriptions",status="200"}']) >= 1
    assert float(figures['audioroto_requests_total{path="other",status="404"}']) >= 1
    assert float(figures["audioroto_audio_seconds_total"]) > 0
    assert float(figures["audioroto_batch_waveforms_count"]) >= 1
    assert float(figures["audioroto_places_taken"]) == 0
    assert "xxx" not in str(figures)


def test_the_page_is_whole_and_asks_no_other_host_for_anything(server):
    for path, (name, media_type) in PAGE_FILES.items():
        answer = httpx.get(server.url + path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.content == (PAGE / name).read_bytes()
        hosts = {address for address in re.findall(r"https?://[^\s\"'`<)]+", answer.text) if "w3.org" not in address}
        assert hosts == set()
        for link in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
            assert link in PAGE_FILES
    assert {path.name for path in Path(PAGE).iterdir()} == {name for name, _ in PAGE_FILES.values()}


def test_markup_has_no_scripts_or_styles_of_its_own():
    """The policy would keep them from running."""
    markup = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\son\w+=|\sstyle=|<script(?![^>]*src=)", markup)
    assert "innerHTML" not in (PAGE / "page.js").read_text(encoding="utf-8")
