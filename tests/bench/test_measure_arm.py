import numpy as np
import pytest
import torch

from audioroto.bench.ablation_arms import ARMS
from audioroto.bench.joined import join_utterances
from audioroto.bench.measure_arm import measure_arm, recognize_joined
from audioroto.corpus.datadir import read_datadir
from audioroto.infer.engine import TorchEngine
from audioroto.train.metrics import read_metrics
from audioroto.train.validate import open_validation_set


def test_a_model_that_knows_its_words_knows_most_of_them_joined(trained, tone_corpus):
    engine = TorchEngine(trained / "model.safetensors", "cpu")
    utterances = read_datadir(tone_corpus / "valid")
    plain, joined = (recognize_joined(engine, join_utterances(utterances, times), "valid") for times in (1, 2))
    assert plain.wer < 0.2
    assert joined.wer < 0.5
    assert joined.words == plain.words
    assert joined.sentences == plain.sentences // 2


def test_the_measures_of_a_run_are_its_own(trained, tone_corpus):
    train, valid = (read_datadir(tone_corpus / split) for split in ("train", "valid"))
    run = measure_arm(ARMS["baseline"], 1, trained, train, valid, "inputs", "cpu")
    last = read_metrics(trained / "metrics.jsonl")[-1]
    assert (run.updates, run.audio_seconds) == (120, last["audio_seconds"])
    assert run.loss_gap == pytest.approx(run.valid_loss - run.train_loss)
    engine = TorchEngine(trained / "model.safetensors", "cpu")
    for split, loss in (("train", run.train_loss), ("valid", run.valid_loss)):
        validator = open_validation_set(tone_corpus / split, engine.tokenizer, engine.config)
        assert loss == round(validator.run(engine.model, engine.device, torch.float32).loss, 5)
    by_id = {utterance.id: utterance.seconds for utterance in valid}
    np.testing.assert_allclose(run.seconds, [by_id[name] for name in sorted(by_id)], atol=1e-3)
    assert run.feedforward_width == 64
