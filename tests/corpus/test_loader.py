import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from audioroto.config import Augment
from audioroto.corpus.batches import BatchPlan
from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.loader import SpeechDataset, load_batches, load_updates, pad_waveforms, utterance_seed
from audioroto.corpus.surroundings import Surroundings


@pytest.fixture
def dataset(tone_corpus):
    utterances = read_datadir(tone_corpus / "train")
    return SpeechDataset(utterances, [[3] * (1 + index % 4) for index in range(len(utterances))], 16000, seed=1)


def test_a_batch_holds_what_its_plan_names(dataset):
    batch = dataset[BatchPlan(0, 0, (3, 1))]
    assert batch.ids == [dataset.utterances[3].id, dataset.utterances[1].id]
    assert batch.waveform_lengths.tolist() == [round(dataset.utterances[i].seconds * 16000) for i in (3, 1)]
    assert batch.token_lengths.tolist() == [4, 2]
    assert batch.tokens.tolist() == [[3, 3, 3, 3], [3, 3, 0, 0]]


def test_draws_belong_to_the_utterance_not_to_its_company(dataset):
    dataset.surroundings = Surroundings(Augment(reverberation_share=0.5, noise_share=0.5), 16000)
    alone = dataset[BatchPlan(2, 0, (5,))]
    together = dataset[BatchPlan(2, 7, (0, 5, 9))]
    length = int(alone.waveform_lengths)
    torch.testing.assert_close(together.waveforms[1, :length], alone.waveforms[0], rtol=0, atol=0)
    assert together.seeds[1] == alone.seeds[0]
    another_epoch = dataset[BatchPlan(3, 0, (5,))]
    assert another_epoch.seeds != alone.seeds


def test_speeds_change_the_length(dataset):
    dataset.surroundings = Surroundings(Augment(speeds=(0.5,), volume_decibels=0.0), 16000)
    batch = dataset[BatchPlan(0, 0, (0,))]
    assert abs(int(batch.waveform_lengths) - 2 * dataset.utterances[0].seconds * 16000) <= 2


def test_workers_give_what_the_process_itself_gives(dataset):
    dataset.surroundings = Surroundings(Augment(reverberation_share=0.5, noise_share=0.5), 16000)
    plans = [BatchPlan(0, number, (number, number + 1)) for number in range(4)]
    for ours, theirs in zip(load_batches(dataset, plans, 0), load_batches(dataset, plans, 1), strict=True):
        assert ours.plan == theirs.plan
        torch.testing.assert_close(ours.waveforms, theirs.waveforms, rtol=0, atol=0)


def test_a_worker_leaves_ctrl_c_to_the_process_that_it_works_for(dataset):
    others = multiprocessing.active_children()
    loaded = load_batches(dataset, [BatchPlan(0, number, (number,)) for number in range(12)], 1)
    next(loaded)
    (worker,) = [child for child in multiprocessing.active_children() if child not in others]
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(loaded)) == 11


def test_padding_is_silence_behind_the_speech():
    padded = pad_waveforms([np.ones(2, np.float32), np.ones(4, np.float32)])
    assert padded.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_seeds_differ_by_seed_epoch_and_utterance():
    seeds = {utterance_seed(s, e, u) for s in (1, 2) for e in (0, 1) for u in ("a", "b")}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_nonspeech_takes_the_place_of_utterances_and_of_their_tokens(dataset):
    plan = BatchPlan(1, 0, tuple(range(40)))
    dataset.surroundings = Surroundings(Augment(), 16000)
    plain = dataset[plan]
    dataset.surroundings = Surroundings(Augment(nonspeech_share=0.4), 16000)
    batch = dataset[plan]
    silent = batch.token_lengths == 0
    assert 5 < silent.sum() < 30
    assert batch.seeds == plain.seeds
    for row, index in enumerate(plan.indices):
        length = int(batch.waveform_lengths[row])
        if silent[row]:
            assert length == round(dataset.utterances[index].seconds * 16000)
        else:  # all that is spoken is heard as without the switch
            assert batch.token_lengths[row] == plain.token_lengths[row]
            assert torch.equal(batch.waveforms[row, :length], plain.waveforms[row, :length])


def test_a_batch_may_be_nonspeech_alone(dataset):
    dataset.surroundings = Surroundings(Augment(nonspeech_share=1.0), 16000)
    batch = dataset[BatchPlan(0, 0, (0, 1))]
    assert batch.tokens.shape == (2, 0)
    assert batch.token_lengths.tolist() == [0, 0]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_update_may_have_many_batches_or_none(dataset, num_workers):
    updates = [[BatchPlan(0, 0, (1,)), BatchPlan(0, 0, (2, 3), 1)], [], [BatchPlan(0, 2, (4,))]]
    loaded = list(load_updates(dataset, updates, num_workers))
    assert [[batch.plan for batch in batches] for batches in loaded] == updates
