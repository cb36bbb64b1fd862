"""Long recordings through a recognizer: seams, memory, threads, and what may be given as audio."""

import itertools
import math
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

import audioroto
from audioroto.audio.load import load_audio
from audioroto.audio.segment import OVERLAP_SECONDS, STEP_SECONDS, iter_segments
from audioroto.config import Search
from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.prepare.librispeech import prepare_librispeech
from audioroto.errors import AudioError, UserError
from audioroto.infer.recognizer import Recognizer
from audioroto.infer.seam import join_segments
from audioroto.score.error_rate import align_texts
from audioroto.search.ctc_greedy import ctc_greedy

RATE = 2000
HOP = 80  # samples of 40 ms
HERTZ = {word: 100 + 50 * number for number, word in enumerate("ABCDEFGHIJKLMNOP")}
BREAK_HERTZ = 950  # between words, as loud as they are


class TonesEngine:
    """Hears each tone as a word, wherever a window begins; the first and last frames of a window are garbled."""

    def __init__(self):
        self.tokenizer = SimpleNamespace(
            pieces=["<blank>", "<unk>", "<eos>", *(f"▁{word}" for word in HERTZ)], decode=self._decode
        )
        self.decoder = None
        self.config = SimpleNamespace(features=SimpleNamespace(sample_rate=RATE))
        self.frame_seconds = HOP / RATE

    def encode(self, waveforms):
        return SimpleNamespace(log_probs=[self._listen(waveform) for waveform in waveforms])

    def _listen(self, samples):
        frames = np.pad(samples, (0, -len(samples) % HOP)).reshape(-1, HOP)
        bins = np.abs(np.fft.rfft(frames)).argmax(axis=1) * RATE / HOP  # hertz
        distances = np.abs(bins[:, None] - np.array([BREAK_HERTZ, *HERTZ.values()]))
        tokens = distances.argmin(axis=1)
        tokens[tokens > 0] += 2
        tokens[[0, 2, -3, -1]] = 3 + np.arange(4)
        tokens[[1, -2]] = 0
        log_probs = np.full((len(frames), 3 + len(HERTZ)), -9.0, np.float32)
        log_probs[np.arange(len(frames)), tokens] = -0.01
        return log_probs

    def _decode(self, tokens):
        return " ".join(self.tokenizer.pieces[token][1:] for token in tokens)


def make_tones(seconds, seed):
    """Words as tones without a pause, and the words."""
    generator = np.random.default_rng(seed)
    parts, words, num_samples = [], [], 0
    while num_samples < seconds * RATE:
        word = generator.choice(list(HERTZ))
        loudness = (0.05, 0.5)[len(words) % 2] * generator.uniform(0.7, 1.4)
        tones = (HERTZ[word], generator.uniform(0.15, 0.25), loudness), (BREAK_HERTZ, 0.12, 0.4)
        for hertz, length, gain in tones:
            parts.append(gain * np.sin(2 * np.pi * hertz * np.arange(round(length * RATE)) / RATE))
            num_samples += len(parts[-1])
        words.append(str(word))
    return np.concatenate(parts).astype(np.float32), words


def count_errors(reference, hypothesis):
    (alignment,) = align_texts([reference], [hypothesis], "word")
    return alignment.error_rate.errors


def test_no_word_is_lost_or_doubled_at_a_seam():
    recognizer = Recognizer(TonesEngine())
    num_seams = num_errors = 0
    for seed in range(5):
        samples, words = make_tones(350.0, seed)
        segments = list(recognizer.iter_transcribe(samples, RATE))
        assert max(segment.end_seconds - segment.start_seconds for segment in segments) < 36.0
        num_seams += len(segments) - 1
        heard = [word.text for segment in segments for word in segment.words]
        num_errors += max(0, count_errors(" ".join(words[2:-2]), " ".join(heard)) - 8)  # 8: both ends are garbled
        times = [
            time for segment in segments for word in segment.words for time in (word.start_seconds, word.end_seconds)
        ]
        assert all(before <= after + 0.1 for before, after in itertools.pairwise(times))
        assert [s.start_seconds for s in segments[1:]] == pytest.approx([s.end_seconds for s in segments[:-1]])
    assert num_seams >= 50
    assert num_errors <= 0.2 * num_seams


def test_memory_does_not_grow_with_the_length(tmp_path):
    recognizer = Recognizer(TonesEngine())

    def measure(minutes):
        path = tmp_path / f"{minutes}.wav"
        samples, _ = make_tones(60.0, seed=0)
        samples[: 5 * RATE] = 0.0
        with soundfile.SoundFile(path, "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(samples)
        tracemalloc.start()
        num_words = sum(len(segment.words) for segment in recognizer.iter_transcribe(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert num_words > 100 * minutes
        return peak

    assert measure(12) < 1.1 * measure(4)


@pytest.fixture(scope="module")
def recognizer(trained):
    return audioroto.load_model(trained / "model.safetensors")


@pytest.fixture(scope="module")
def long_tones(tone_corpus):
    """Utterances with 2.5 s of soft noise between them, 16 kHz, as long as several segments; and their number."""
    generator = np.random.default_rng(0)
    paths = [utterance.path for utterance in read_datadir(tone_corpus / "train")]
    parts = [part for path in paths for part in (load_audio(path)[0], np.zeros(40_000, np.float32))]
    samples = np.concatenate(parts)
    return samples + 0.003 * generator.standard_normal(len(samples)).astype(np.float32)


def test_segments_follow_one_another_in_the_recording(recognizer, long_tones):
    segments = list(recognizer.iter_transcribe(long_tones, 16000))
    assert len(segments) >= 10
    transcript = recognizer.transcribe(long_tones, 16000)
    assert transcript.segments == tuple(segments)
    assert transcript.seconds == len(long_tones) / 16000
    assert transcript.text == " ".join(segment.text for segment in segments)
    assert transcript.text.split() == [word.text for word in transcript.words]
    for segment in segments:
        start, end = (round(time * 16000) for time in (segment.start_seconds, segment.end_seconds))
        (alone,) = recognizer.recognize([long_tones[start:end]])
        assert alone.text == segment.text
        for word in segment.words:
            assert segment.start_seconds <= word.start_seconds <= word.end_seconds <= segment.end_seconds
        assert " ".join(word.text for word in segment.words) == segment.text


@pytest.mark.parametrize("batch_seconds", [1.0, 30.0, 500.0])
def test_batches_change_nothing(recognizer, long_tones, batch_seconds):
    expected = recognizer.transcribe(long_tones, 16000).text
    assert recognizer.transcribe(long_tones, 16000, batch_seconds=batch_seconds).text == expected


def test_a_recording_may_be_encoded_whole(recognizer, long_tones):
    log_probs = recognizer.engine.encode([long_tones]).log_probs[0]
    expected = []
    for stretch in iter_segments([long_tones], 16000):
        first = round(stretch.start_seconds / 0.04)
        last = math.ceil((stretch.start_seconds + len(stretch.samples) / 16000) / 0.04)
        text = recognizer.tokenizer.decode(ctc_greedy(log_probs[first:last]).tokens)
        expected += [(stretch.start_seconds, text)] if text else []
    found = recognizer.transcribe(long_tones, 16000, whole=True)
    assert [(segment.start_seconds, segment.text) for segment in found.segments] == expected
    assert len(expected) > 10
    short = long_tones[: 16000 * 20]
    for mode in ("ctc_greedy", "ctc_beam"):
        (alone,) = recognizer.recognize([short], mode)
        assert recognizer.transcribe(short, 16000, mode, whole=True) == alone


def test_what_is_not_too_long_says_what_recognize_says(recognizer, tone_corpus):
    for utterance in read_datadir(tone_corpus / "valid"):
        samples, _ = load_audio(utterance.path)
        (expected,) = recognizer.recognize([samples])
        found = recognizer.transcribe(utterance.path)
        assert (found.text, found.words, found.seconds) == (expected.text, expected.words, expected.seconds)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seconds", [1.0, 100.0])
def test_zeros_say_nothing(recognizer, seconds, whole):
    transcript = recognizer.transcribe(np.zeros(round(16000 * seconds), np.float32), 16000, whole=whole)
    assert (transcript.segments, transcript.text, transcript.score, transcript.gated) == ((), "", 0, True)
    assert transcript.seconds == seconds


def test_tensors_are_audio(recognizer, tone_corpus):
    samples, rate = load_audio(read_datadir(tone_corpus / "valid")[0].path)
    expected = recognizer.transcribe(samples, rate).text
    tensor = torch.from_numpy(samples)
    assert recognizer.transcribe(tensor, rate).text == expected
    assert recognizer.transcribe(tensor.clone().requires_grad_(), rate).text == expected
    assert recognizer.transcribe(torch.stack([tensor, tensor], dim=1), rate).text == expected
    for wrong in (tensor.bfloat16(), tensor[None], tensor.int(), None, [0.1, 0.2], 3):
        with pytest.raises(AudioError):
            recognizer.transcribe(wrong, rate)


def test_an_unknown_mode_is_refused(recognizer, long_tones):
    with pytest.raises(UserError, match="the modes are"):
        recognizer.transcribe(long_tones, 16000, "viterbi")


def test_several_threads_may_listen_at_once(recognizer, tone_corpus):
    paths = [utterance.path for utterance in read_datadir(tone_corpus / "train")]
    for mode in ("ctc_greedy", "ctc_beam"):
        expected = [recognizer.transcribe(path, mode=mode) for path in paths]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda path, mode=mode: recognizer.transcribe(path, mode=mode), paths))
        assert [transcript.text for transcript in found] == [transcript.text for transcript in expected]


def test_real_speech_cut_at_random_places_says_the_same(speech_dir, tmp_path):
    """Prints the counts; the model is english-small or what AUDIOROTO_MODEL names. Cut as where speech has no pause."""
    model = os.environ.get("AUDIOROTO_MODEL", "english-small")
    recognizer = audioroto.load_model(model, search=Search(gate_decibels=-200.0))
    prepare_librispeech(speech_dir / "LibriSpeech", tmp_path, ["test-clean"])
    long = [u for u in read_datadir(tmp_path / "test-clean") if u.seconds > 1.5 * OVERLAP_SECONDS]
    generator = np.random.default_rng(0)
    num_seams, num_errors, near, far, seconds_far, num_words = 50, 0, 0, 0, 0.0, 0
    half = OVERLAP_SECONDS / 2
    for utterance in long[:: len(long) // num_seams][:num_seams]:
        samples, rate = load_audio(utterance.path, recognizer.sample_rate)
        seconds = len(samples) / rate
        place = generator.uniform(half + 1.0, seconds - half - 1.0)
        begin = round((place - half) // STEP_SECONDS * STEP_SECONDS * rate)
        end = round((place + half) * rate)
        whole, *windows = (recognizer.recognize([part])[0] for part in (samples, samples[:end], samples[begin:]))
        left, right = (segment for window in windows for segment in window.segments)
        joined = join_segments(left, right.shift(begin / rate))
        num_errors += count_errors(whole.text, " ".join(segment.text for segment in joined))
        joined_words = [word for segment in joined for word in segment.words]
        distances = [abs(time - place) for time in find_differences(whole.words, joined_words)]
        near += sum(distance <= 1.0 for distance in distances)
        far += sum(distance > 1.0 for distance in distances)
        seconds_far += seconds - 2.0
        num_words += len(whole.words)
    expected = 2.0 * num_seams * far / seconds_far
    counts = (
        f"{num_seams} seams: {num_errors} words of {num_words} differ; {near} differences lie within 1 s of a seam "
        f"({expected:.1f} would by chance), {far} elsewhere"
    )
    print(counts)
    assert num_errors <= 0.2 * num_seams, counts


def find_differences(words, others):
    """The times of the words of either that the other does not have."""
    texts = ([" ".join(word.text for word in both)] for both in (words, others))
    (alignment,) = align_texts(*texts, "word")
    ours, theirs, times = iter(words), iter(others), []
    for pair in alignment.pairs:
        word = next(ours) if pair.reference else None
        other = next(theirs) if pair.hypothesis else None
        if pair.operation != "equal":
            times.append((word or other).start_seconds)
    return times
