"""The page in a real browser: Debian's chromium and chromium-driver, where they are installed."""

import json
import shutil
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("selenium")
if not (shutil.which("chromium") and shutil.which("chromedriver")):
    pytest.skip("chromium or its driver is not installed", allow_module_level=True)

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from audioroto.serve.limits import Limits


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=900,1000", "--mute-audio"),
        *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        "--autoplay-policy=no-user-gesture-required",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    except WebDriverException as error:
        pytest.skip(f"chromium does not start: {error.msg}")
    browser.downloads = downloads
    yield browser
    browser.quit()


def find(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def wait(browser, condition, seconds=60):
    return WebDriverWait(browser, seconds, 0.05).until(lambda _: condition())


def read_download(browser, name):
    path = browser.downloads / name
    wait(browser, path.exists)
    return path.read_text(encoding="utf-8")


def upload(browser, clip):
    find(browser, "#file").send_keys(str(clip))
    wait(browser, lambda: find(browser, "#downloads").is_displayed() or find(browser, "#problem").is_displayed())


def check_console(browser):
    """Nothing that the policy forbids was tried, and nothing failed."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_clip_goes_in_and_its_words_come_out(browser, server, recognizer, clips):
    browser.get(server.url)
    assert not find(browser, "#result").is_displayed()
    clip = max(clips, key=lambda clip: len(recognizer.transcribe(clip).words))
    expected = recognizer.transcribe(clip)
    assert len(expected.words) > 2
    upload(browser, clip)
    words = browser.find_elements(By.CSS_SELECTOR, "#transcript .word")
    assert [word.text for word in words] == [word.text for word in expected.words]
    assert {"sure", "fair", "unsure"} >= {word.get_attribute("class").split()[1] for word in words}
    assert find(browser, "#title").text == clip.name

    words[2].click()
    position = browser.execute_script("return document.getElementById('audio').currentTime")
    assert position >= expected.words[2].start_seconds - 0.01
    wait(browser, lambda: "lit" in " ".join(word.get_attribute("class") for word in words[2:]))
    assert browser.switch_to.active_element == words[2]
    words[2].send_keys(Keys.ARROW_LEFT)
    assert browser.switch_to.active_element == words[1]
    words[1].send_keys(Keys.END)
    assert browser.switch_to.active_element == words[-1]

    for button in browser.find_elements(By.CSS_SELECTOR, "#downloads button"):
        button.click()
    assert read_download(browser, f"{clip.stem}.srt") == expected.to_srt()
    assert read_download(browser, f"{clip.stem}.vtt") == expected.to_vtt()
    assert read_download(browser, f"{clip.stem}.txt") == expected.to_text()
    assert json.loads(read_download(browser, f"{clip.stem}.json"))["text"] == expected.text
    check_console(browser)


def test_what_is_no_audio_is_said_and_the_next_file_works(browser, server, clips, tmp_path):
    browser.get(server.url)
    (tmp_path / "letter.wav").write_text("dear reader")
    upload(browser, tmp_path / "letter.wav")
    assert "can read it" in find(browser, "#problem").text
    browser.get_log("browser")  # the refusal is in it
    upload(browser, clips[0])
    assert not find(browser, "#problem").is_displayed()
    assert find(browser, "#transcript .word").text
    check_console(browser)


def test_a_token_is_asked_for_once(browser, start_server, clips):
    browser.get(start_server(token="sesame").url)
    find(browser, "#file").send_keys(str(clips[0]))
    wait(browser, lambda: find(browser, "#token").is_displayed())
    browser.get_log("browser")
    find(browser, "#token").send_keys("sesame", Keys.ENTER)
    wait(browser, lambda: find(browser, "#downloads").is_displayed())
    upload(browser, clips[1])
    assert not find(browser, "#unlock").is_displayed()
    check_console(browser)


def test_cancelling_frees_the_place(browser, start_server, gated, clips):
    server = start_server(gated, limits=Limits(max_requests=1))
    browser.get(server.url)
    find(browser, "#file").send_keys(str(clips[0]))
    wait(browser, lambda: find(browser, "#cancel").is_displayed() and server.service.places.num_taken)
    find(browser, "#cancel").click()
    wait(browser, lambda: not find(browser, "#work").is_displayed())
    gated.gate.set()
    wait(browser, lambda: not server.service.places.num_taken)


def test_the_microphone_is_heard_live_and_then_as_a_recording(browser, server):
    """Chromium's own fake microphone beeps once a second."""
    browser.get(server.url)
    find(browser, "#record").click()
    wait(browser, lambda: find(browser, "#record").text == "Stop")
    wait(browser, lambda: server.service.places.num_taken == 1)
    time.sleep(2.5)
    find(browser, "#record").click()
    wait(browser, lambda: find(browser, "#downloads").is_displayed())
    assert find(browser, "#title").text == "recording.wav"
    assert browser.execute_script("return document.getElementById('audio').duration") > 1.5
    wait(browser, lambda: server.service.places.num_taken == 0)
    check_console(browser)
