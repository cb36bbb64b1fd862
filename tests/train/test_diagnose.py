import json

import pytest
import torch
from safetensors import safe_open

from audioroto.config import Config, Train
from audioroto.corpus.batches import BatchPlan
from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.loader import Batch, SpeechDataset
from audioroto.errors import UserError
from audioroto.train.diagnose import explain_out_of_memory, find_worst_batch, load_worst_batch, save_bad_batch


def make_batch(*lengths: int) -> Batch:
    count = len(lengths)
    return Batch(
        plan=BatchPlan(3, 4, tuple(range(count))),
        ids=[f"utterance-{number}" for number in range(count)],
        waveforms=torch.full((count, max(lengths)), torch.nan),
        waveform_lengths=torch.tensor(lengths),
        tokens=torch.ones(count, 2, dtype=torch.int64),
        token_lengths=torch.full((count,), 2),
        seeds=[2**63 - 1, *range(1, count)],
    )


def test_the_worst_batch_has_most_padded_seconds():
    plan = find_worst_batch([1.0] * 10 + [50.0], Train(batch_seconds=10.0))
    assert plan.indices == (10,)
    plan = find_worst_batch([1.0] * 100, Train(batch_seconds=10.0, max_updates=50))
    assert len(plan.indices) >= 10


def test_the_worst_batch_is_heard_at_the_slowest_speed(tone_corpus, tiny_config):
    utterances = read_datadir(tone_corpus / "train")
    dataset = SpeechDataset(utterances, [[3]] * len(utterances), 16000, seed=1, augment=tiny_config.augment)
    batch = load_worst_batch(dataset, tiny_config)
    longest = max(utterances[index].seconds for index in batch.plan.indices)
    assert int(batch.waveform_lengths.max()) == pytest.approx(longest / 0.9 * 16000, abs=2)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
@pytest.mark.parametrize(
    ("lengths", "advice"),
    [((16000, 32000), "train.micro_batch_seconds=30"), ((160000,), "train.max_utterance_seconds=5")],
)
def test_out_of_memory_says_what_to_set(error, lengths, advice):
    with pytest.raises(UserError, match=f"--set {advice}"), explain_out_of_memory([make_batch(*lengths)], Config()):
        raise error


def test_what_the_processor_itself_says_is_understood():
    with pytest.raises(UserError, match="out of memory"), explain_out_of_memory([make_batch(16000)], Config()):
        torch.empty(2**55)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), explain_out_of_memory([make_batch(16000)], Config()):
        raise RuntimeError("shapes differ")


def test_a_bad_batch_can_be_looked_into(tmp_path):
    batch = make_batch(5, 3)
    save_bad_batch(tmp_path / "bad" / "batch.safetensors", batch, update=7)
    with safe_open(tmp_path / "bad" / "batch.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["ids"]) == batch.ids
        assert (file.metadata()["update"], file.metadata()["epoch"]) == ("7", "3")
        assert file.get_tensor("waveforms").isnan().all()
        assert file.get_tensor("waveform_lengths").tolist() == [5, 3]
        assert file.get_tensor("seeds").tolist() == batch.seeds
