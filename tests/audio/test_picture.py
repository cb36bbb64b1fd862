import numpy as np
import pytest

from audioroto.audio.picture import draw_audio


@pytest.mark.parametrize("num_samples", [100, 16000])
def test_a_recording_becomes_a_png(tmp_path, num_samples):
    samples = np.sin(np.arange(num_samples) * 0.1).astype(np.float32)
    draw_audio(samples, 16000, tmp_path / "audio.png", "a tone")
    assert (tmp_path / "audio.png").read_bytes().startswith(b"\x89PNG")
