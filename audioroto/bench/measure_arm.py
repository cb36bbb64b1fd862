"""What a trained model of the ablation is worth: error rates at several lengths, and losses."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from audioroto.bench.ablation_arms import Arm
from audioroto.bench.ablation_result import JOINED_TIMES, ArmRun
from audioroto.bench.joined import Joined, join_utterances, load_joined
from audioroto.corpus.batches import make_batches
from audioroto.corpus.datadir import Utterance
from audioroto.corpus.loader import SpeechDataset
from audioroto.infer.engine import TorchEngine
from audioroto.model.checkpoint import describe_environment
from audioroto.score.evaluation import evaluate
from audioroto.score.results import TestSetResult, make_test_set_result
from audioroto.search.ctc_greedy import ctc_greedy
from audioroto.text.normalize import normalize
from audioroto.train.metrics import read_metrics
from audioroto.train.validate import Validator

NUM_LOSS_UTTERANCES = 200


def measure_arm(
    arm: Arm,
    seed: int,
    folder: Path,
    train_utterances: Sequence[Utterance],
    valid_utterances: Sequence[Utterance],
    inputs: str,
    device: str,
) -> ArmRun:
    """Measure FOLDER/model.safetensors on the validation set, as it is and joined; `inputs` is kept with it."""
    engine = TorchEngine(folder / "model.safetensors", device)
    environment = describe_environment()
    diary = read_metrics(folder / "metrics.jsonl")[-1]
    base = engine.model.encoder.rotary_base
    joined = [join_utterances(valid_utterances, times) for times in JOINED_TIMES]
    in_order = sorted(joined[0], key=lambda each: each.id)
    return ArmRun(
        arm=arm.name,
        seed=seed,
        settings=engine.config.model_dump(mode="json"),
        inputs=inputs,
        parameters=engine.num_parameters,
        updates=diary["update"],
        audio_seconds=diary["audio_seconds"],
        minutes=round(diary["wall_seconds"] / 60, 3),
        rotary_base=None if base is None else round(base.base, 3),
        train_loss=_compute_loss(engine, _spread(train_utterances, NUM_LOSS_UTTERANCES)),
        valid_loss=_compute_loss(engine, _spread(valid_utterances, NUM_LOSS_UTTERANCES)),
        seconds=tuple(round(each.seconds, 3) for each in in_order),
        joined_seconds=tuple(round(float(np.mean([each.seconds for each in group])), 2) for group in joined),
        results=tuple(
            recognize_joined(engine, group, "valid" if times == 1 else f"valid ×{times}")
            for times, group in zip(JOINED_TIMES, joined, strict=True)
        ),
        hardware=environment["hardware"],
        commit=environment.get("commit", "unknown"),
        date=datetime.now(UTC).date(),
    )


def recognize_joined(engine: TorchEngine, joined: Sequence[Joined], name: str) -> TestSetResult:
    """Greedy search over joined utterances, scored against their joined references; `name` is the test set's."""
    config = engine.config
    hypotheses: dict[str, str] = {}
    for indices in make_batches([each.seconds for each in joined], config.train.batch_seconds):
        waveforms = [load_joined(joined[index], config.features.sample_rate) for index in indices]
        for index, log_probs in zip(indices, engine.encode(waveforms).log_probs, strict=True):
            hypotheses[joined[index].id] = engine.tokenizer.decode(ctc_greedy(log_probs).tokens)
    references = {
        each.id: " ".join(normalize(part.text or "", config.text.normalizer) for part in each.parts) for each in joined
    }
    speakers = {each.id: each.speaker for each in joined}
    return make_test_set_result(
        evaluate(references, hypotheses, config.text.normalizer, speakers), test_set=name, mode="ctc_greedy"
    )


def _compute_loss(engine: TorchEngine, utterances: Sequence[Utterance]) -> float:
    """Nats a token on `utterances`, without augmentation or dropout."""
    config = engine.config
    references = {each.id: normalize(each.text or "", config.text.normalizer) for each in utterances}
    tokens = [engine.tokenizer.encode(references[each.id]) for each in utterances]
    dataset = SpeechDataset(list(utterances), tokens, config.features.sample_rate)
    validator = Validator(dataset, references, engine.tokenizer, config.train.batch_seconds)
    loss = validator.run(engine.model, engine.device, torch.float32).loss
    engine.model.eval()  # a validator leaves the model in training mode
    return round(loss, 5)


def _spread(utterances: Sequence[Utterance], number: int) -> list[Utterance]:
    """At most `number` utterances, evenly spread over the list."""
    places = np.unique(np.linspace(0, len(utterances) - 1, min(number, len(utterances))).round().astype(int))
    return [utterances[place] for place in places]
