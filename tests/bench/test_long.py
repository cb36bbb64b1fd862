import json

import numpy as np
import pytest

from audioroto.audio.load import load_audio
from audioroto.bench.long import bench_long, repeat_files
from audioroto.errors import UserError
from audioroto.infer.recognizer import load_model


def test_files_follow_one_another_and_begin_again(tone_corpus):
    files = sorted(tone_corpus.rglob("*.wav"))[:2]
    one, two = (load_audio(file, 16000)[0] for file in files)
    wanted = np.concatenate([one, two, one, two])[: 2 * len(one) + len(two) + 7]
    assert np.array_equal(np.concatenate(list(repeat_files(files, 16000, len(wanted)))), wanted)


def test_files_without_audio_make_nothing_long(tmp_path):
    import soundfile

    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    with pytest.raises(UserError, match="no audio"):
        list(repeat_files([tmp_path / "empty.wav"], 16000, 10))


def test_a_long_recording_says_what_its_parts_say(trained, tone_corpus, tmp_path, capsys):
    files = sorted(tone_corpus.rglob("*.wav"))[:3]
    recognizer = load_model(trained / "model.safetensors")
    run = bench_long(recognizer, files, 100 / 3600, tmp_path)
    assert run.num_words > 20
    places = [moment.audio_seconds for moment in run.moments]
    assert places == sorted(places)
    assert places[-1] == pytest.approx(100)
    assert run.peak_bytes >= max(moment.resident_bytes for moment in run.moments) > 2**20
    assert json.loads((tmp_path / "figures.json").read_text())["num_words"] == run.num_words
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    assert "real-time factor" in capsys.readouterr().out
