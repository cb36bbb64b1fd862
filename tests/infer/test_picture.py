import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import audioroto
from audioroto.audio.load import load_audio
from audioroto.corpus.datadir import read_datadir
from audioroto.infer.picture import choose_heads, draw_transcript, spread
from audioroto.infer.segment import Segment, Word
from audioroto.infer.transcript import Transcript


@given(st.lists(st.floats(0, 20), max_size=20))
def test_labels_stand_apart_inside_the_picture(places):
    places = sorted(places)
    moved = spread(places, 1.0, 20.0)
    assert len(moved) == len(places)
    assert all(right - left >= 1 - 1e-9 for left, right in itertools.pairwise(moved))
    assert all(0.5 - 1e-9 <= place <= 19.5 + 1e-9 for place in moved)


def test_labels_with_room_stay_where_they_are():
    assert spread([1.0, 3.0, 9.0], 1.0, 20.0) == [1.0, 3.0, 9.0]


@pytest.mark.parametrize("num_words", [0, 3, 500])
def test_a_transcript_becomes_a_png(tmp_path, num_words):
    edges = np.linspace(0, 2, num_words + 1)
    words = tuple(Word("WORD", start, end, 0.5) for start, end in itertools.pairwise(edges.tolist()))
    transcript = Transcript((Segment("", 0.0, 2.0, words, 0.0),), 2.0)
    heads = {"a head": np.eye(50, dtype=np.float32)}
    draw_transcript(np.zeros(32000, np.float32), 16000, transcript, tmp_path / "x.png", "silence", heads)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_the_heads_of_a_model_without_local_ones(trained, tone_corpus):
    recognizer = audioroto.load_model(trained / "model.safetensors")
    path = read_datadir(tone_corpus / "valid")[0].path
    samples, _ = load_audio(path)
    (name,) = heads = choose_heads(recognizer, samples, 2)
    assert name == "block 2, global head 1"
    np.testing.assert_allclose(heads[name].sum(-1), 1, atol=1e-5)
