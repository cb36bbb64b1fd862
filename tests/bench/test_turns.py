from dataclasses import replace

import pytest
import torch

from audioroto.bench.systems import System
from audioroto.bench.turns import TurnsLog, take_turns
from audioroto.corpus.datadir import read_datadir

CPU = torch.device("cpu")


@pytest.fixture
def calls():
    return []


@pytest.fixture
def systems(calls):
    return [
        System(lambda samples, name=name: calls.append(name) or f"{name}{len(calls)}", 16000, 1, name) for name in "ab"
    ]


def test_another_begins_each_time(systems, calls, tone_corpus, tmp_path):
    utterances = read_datadir(tone_corpus / "valid")[:2]
    first, second = take_turns(systems, [CPU, CPU], utterances, TurnsLog(tmp_path / "turns.jsonl"))
    assert calls == ["b", "a", "a", "b", "b", "a"]
    assert [turn.text for turn in first] == ["a3", "a6"]
    assert [turn.recording for turn in second] == [utterance.id for utterance in utterances]


def test_an_interrupted_run_goes_on(systems, calls, tone_corpus, tmp_path):
    """Two turns of four were kept, and a third was cut short: the two are not taken again."""
    utterances = read_datadir(tone_corpus / "valid")[:2]
    path = tmp_path / "turns.jsonl"
    take_turns(systems, [CPU, CPU], utterances, TurnsLog(path))
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:2]) + whole[2][:20])
    calls.clear()
    log = TurnsLog(path)
    first, second = take_turns(systems, [CPU, CPU], utterances, log)
    assert calls == ["b", "a", "b", "a"]  # one each to warm up
    assert log.num_recalled == 2
    assert [turn.text for turn in first] == ["a3", "a4"]
    assert [turn.text for turn in second] == ["b4", "b3"]
    again = TurnsLog(path)
    take_turns(systems, [CPU, CPU], utterances, again)
    assert again.num_recalled == 4


def test_a_system_that_changed_takes_its_turns_again(systems, calls, tone_corpus, tmp_path):
    utterances = read_datadir(tone_corpus / "valid")[:2]
    path = tmp_path / "turns.jsonl"
    take_turns(systems, [CPU, CPU], utterances, TurnsLog(path))
    changed = System(systems[0].transcribe, 16000, 1, "a, trained further")
    calls.clear()
    log = TurnsLog(path)
    take_turns([changed, systems[1]], [CPU, CPU], utterances, log)
    assert calls == ["b", "a", "a", "a"]
    assert log.num_recalled == 2


def test_other_audio_of_the_same_name_and_length_is_heard(systems, calls, tone_corpus, tmp_path):
    first, second = (read_datadir(tone_corpus / "valid")[index] for index in (0, 1))
    path = tmp_path / "turns.jsonl"
    take_turns(systems, [CPU, CPU], [first], TurnsLog(path))
    log = TurnsLog(path)
    calls.clear()
    take_turns(systems, [CPU, CPU], [replace(second, id=first.id, seconds=first.seconds)], log)
    assert (log.num_recalled, len(calls)) == (0, 4)
