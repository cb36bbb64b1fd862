import numpy as np
import pytest

from audioroto.audio.segment import AudioSegment
from audioroto.infer.recognizer import load_model
from audioroto.infer.stretches import WholeEncoding

FRAME_SAMPLES = 640  # of the tiny model, 40 ms


@pytest.fixture(scope="module")
def recognizer(with_decoder):
    return load_model(with_decoder)


@pytest.fixture(scope="module")
def samples():
    """Noise with pauses, whose rest after the last whole frame is shorter than a window."""
    noise = np.random.default_rng(0).uniform(-1, 1, 50 * FRAME_SAMPLES + 100).astype(np.float32)
    noise[FRAME_SAMPLES * 10 : FRAME_SAMPLES * 20] *= 0.001
    return noise


def test_a_recording_of_any_length_is_the_same_encoded_whole(recognizer, samples):
    for mode in recognizer.modes:
        (alone,) = recognizer.recognize([samples], mode)
        assert recognizer.transcribe(samples, 16000, mode, whole=True) == alone


def test_no_stretch_has_frames_that_the_recording_lacks(recognizer, samples):
    starts = (0, 45 * FRAME_SAMPLES, 50 * FRAME_SAMPLES + 50)  # the last one has no frame
    stretches = [AudioSegment(start / 16000, samples[start:]) for start in starts]
    encoding = WholeEncoding(recognizer.engine, samples)(stretches)
    assert encoding.lengths.tolist() == [50, 5, 0]
    assert [len(log_probs) for log_probs in encoding.log_probs] == [50, 5, 0]
    assert encoding.frames.shape[:2] == encoding.padded_log_probs.shape[:2] == (3, 50)
    for mode in recognizer.modes:
        assert recognizer.search([stretch.samples for stretch in stretches], encoding, mode)[2].text == ""
