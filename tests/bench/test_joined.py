from pathlib import Path

import numpy as np
import pytest
import soundfile

from audioroto.bench.joined import PAUSE_SECONDS, find_quietest, join_utterances, load_joined
from audioroto.corpus.datadir import Utterance


def make_utterances(counts: dict[str, int]) -> list[Utterance]:
    return [
        Utterance(f"{speaker}-{number}", speaker, Path("x.wav"), 1.5, f"WORD {number}")
        for speaker, count in counts.items()
        for number in range(count)
    ]


@pytest.mark.parametrize("times", [1, 2, 4, 8])
def test_every_utterance_is_in_one_of_its_speakers(times):
    utterances = make_utterances({"b": 9, "a": 3})
    joined = join_utterances(utterances[::-1], times)
    assert sorted(part.id for each in joined for part in each.parts) == sorted(each.id for each in utterances)
    assert all(len({part.speaker for part in each.parts}) == 1 for each in joined)
    assert len({each.id for each in joined}) == len(joined)
    assert max(len(each.parts) for each in joined) == times
    for each in joined:
        assert [part.id for part in each.parts] == sorted(part.id for part in each.parts)
        assert each.seconds == pytest.approx(1.5 * len(each.parts) + PAUSE_SECONDS * (len(each.parts) - 1))


def test_the_quietest_stretch_is_found():
    samples = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    samples[8000:12000] *= 0.01
    quiet = find_quietest(samples, 3200, 16000)
    assert quiet.shape == (3200,)
    assert np.abs(quiet).max() < 0.1
    assert np.array_equal(find_quietest(samples[:1000], 3200, 16000), samples[:1000])


def test_waveforms_follow_one_another_with_a_pause_of_their_own_silence(tmp_path):
    generator = np.random.default_rng(1)
    parts = []
    for number in range(3):
        samples = np.r_[0.3 * generator.standard_normal(8000), 0.001 * generator.standard_normal(4000)].clip(-1, 1)
        soundfile.write(tmp_path / f"{number}.wav", samples, 16000, subtype="FLOAT")
        parts.append(Utterance(f"s-{number}", "s", tmp_path / f"{number}.wav", 0.75, "A"))
    (joined,) = join_utterances(parts, 4)
    samples = load_joined(joined, 16000)
    assert len(samples) == round(joined.seconds * 16000)
    alone = [load_joined(each, 16000) for each in join_utterances(parts, 1)]
    pause = samples[12000:15200]
    assert 0 < np.abs(pause).max() < 0.01
    assert np.array_equal(samples[15200:27200], alone[1])
    assert samples.dtype == np.float32
