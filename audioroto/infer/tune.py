"""The settings of a search with an n-gram that make the fewest word errors on a validation set."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from audioroto.config import Search
from audioroto.corpus.datadir import Utterance, read_datadir
from audioroto.errors import UserError
from audioroto.files import write_text
from audioroto.infer.modes import MODES_WITH_LM, MODES_WITH_NEURAL_LM, find_mode
from audioroto.infer.recognize import iter_waveforms
from audioroto.infer.recognizer import Recognizer
from audioroto.score.confidence import grade_words
from audioroto.score.error_rate import ErrorRate, align_texts
from audioroto.search.hypothesis import Hypothesis
from audioroto.text.normalize import normalize

BEAM_SIZES = {"beam_size": (8, 16, 32, 64, 128), "attention_beam_size": (2, 4, 8, 16, 32)}
# What weights are tried with: wider beams take longer and prefer nearly the same weights.
WEIGHING_BEAM_SIZES = {"beam_size": 16, "attention_beam_size": 8}
RANGES = {  # that weights are drawn from
    "lm_weight": (0.0, 1.5),
    "word_bonus": (-1.0, 3.0),
    "ctc_weight": (0.2, 0.8),
    "internal_lm_weight": (0.0, 0.5),
    "neural_lm_weight": (0.0, 1.5),
}
FIRST_STEPS = {
    "lm_weight": 0.1,
    "word_bonus": 0.4,
    "ctc_weight": 0.1,
    "internal_lm_weight": 0.1,
    "neural_lm_weight": 0.2,
}
SHARES = ("ctc_weight", "internal_lm_weight")  # from 0 to 1
NUM_HALVINGS = 3
NEARLY = 1.01  # a wider beam has to make a hundredth fewer errors to be worth its time


@dataclass(frozen=True)
class Trial:
    """Settings, the word errors that they make, and the seconds that they search for a second of audio."""

    settings: Search
    words: ErrorRate
    real_time_factor: float


@dataclass(frozen=True)
class Tuning:
    """The trials of weights and of beams in order, the beam that was chosen, and the settings that were varied.

    `audio_seconds` is what the beams were tried on, `confidence_auc` the probability that there a right word has a
    higher confidence than a wrong one.
    """

    trials: tuple[Trial, ...]
    beams: tuple[Trial, ...]
    best: Trial
    audio_seconds: float
    confidence_auc: float
    weights: tuple[str, ...]
    beam: str


def tune_search(
    recognizer: Recognizer,
    data_dir: str | Path,
    mode: str = "ctc_beam",
    *,
    num_trials: int = 24,
    max_minutes: float = 10.0,
    real_time_factor: float = 0.05,
    batch_seconds: float = 60.0,
) -> Tuning:
    """Try settings on a validation set, of which `max_minutes` are used, evenly spread, each encoded once.

    Half of the `num_trials` weights are drawn at random, the same ones at every call; a pattern search (Hooke and
    Jeeves 1961) goes on from the best of them and of the recognizer's own. They are those of the n-gram and, for a mode
    that has them, that of CTC beside the decoder and that of the decoder's own language model. Then the beam, wider and
    wider for as long as it searches in `real_time_factor` (of processor time): the narrowest that makes at most NEARLY
    times the fewest errors, on as many minutes of other utterances if the set has them, for the weights suit those that
    they were found on best with the beam that they were found with. Raises UserError without an n-gram or transcripts,
    and for a mode that asks none.
    """
    find_mode(mode)
    if mode not in MODES_WITH_LM:
        raise UserError(f"the mode {mode} asks no n-gram; tune one of {', '.join(MODES_WITH_LM)}")
    if recognizer.words is None:
        raise UserError("there is no n-gram to tune a weight for; give --lm an ARPA file")
    beam = "attention_beam_size" if mode in MODES_WITH_NEURAL_LM else "beam_size"
    names = ["lm_weight", "word_bonus"]
    names += ["ctc_weight"] if mode in ("joint", "rescoring") else []
    names += ["internal_lm_weight"] if mode in MODES_WITH_NEURAL_LM else []
    names += ["neural_lm_weight"] if mode in MODES_WITH_NEURAL_LM and recognizer.language_model else []
    weighed_on, others = _choose(read_datadir(data_dir), 60 * max_minutes)
    bench = _Bench(recognizer, mode, weighed_on, batch_seconds)
    generator = np.random.default_rng(0)
    drawn = [
        {name: round(float(generator.uniform(*RANGES[name])), 2) for name in names} for _ in range(num_trials // 2)
    ]
    own = recognizer.settings.model_copy(update={"mode": mode, beam: WEIGHING_BEAM_SIZES[beam]})
    starts = [own, *(own.model_copy(update=weights) for weights in drawn)]
    best = min(map(bench.try_settings, starts), key=_count_errors)
    steps = {name: FIRST_STEPS[name] for name in names}
    for _ in range(NUM_HALVINGS + 1):
        centre = None
        while centre is not best:
            centre = best
            for settings in _iter_neighbours(centre.settings, steps):
                if len(bench.trials) < num_trials:
                    best = min(best, bench.try_settings(settings), key=_count_errors)
        steps = {name: step / 2 for name, step in steps.items()}

    trials = tuple(bench.trials.values())
    bench = _Bench(recognizer, mode, others, batch_seconds) if others else bench
    beams: list[Trial] = []
    for beam_size in BEAM_SIZES[beam]:
        trial = bench.try_settings(best.settings.model_copy(update={beam: beam_size}))
        if beams and trial.real_time_factor > real_time_factor:
            break
        beams.append(trial)
    fewest = min(map(_count_errors, beams))
    best = next(trial for trial in beams if _count_errors(trial) <= NEARLY * fewest)
    return Tuning(
        trials=trials,
        beams=tuple(beams),
        best=best,
        audio_seconds=sum(bench.seconds),
        confidence_auc=bench.compute_confidence_auc(best.settings),
        weights=tuple(names),
        beam=beam,
    )


def write_settings(path: str | Path, tuning: Tuning) -> None:
    """Write the chosen settings as TOML that `load_config` reads, the word error rate that they had in a comment."""
    comment = (
        f"# WER {100 * tuning.best.words.rate:.2f} % on {tuning.audio_seconds / 60:.1f} minutes of validation speech"
    )
    write_text(path, f"{comment}\n{tomli_w.dumps({'search': tuning.best.settings.model_dump(mode='json')})}")


class _Bench:
    """A validation set, encoded once, on which settings are tried; each only once."""

    def __init__(self, recognizer: Recognizer, mode: str, utterances: list[Utterance], batch_seconds: float) -> None:
        normalizer = recognizer.engine.config.text.normalizer
        self.recognizer = recognizer
        self.mode = find_mode(mode)
        self.references: list[str] = []
        self.seconds: list[float] = []
        self.encodings: list[Any] = []  # a batch each
        self.trials: dict[Search, Trial] = {}
        for batch, waveforms in iter_waveforms(utterances, recognizer.sample_rate, batch_seconds):
            self.references += [normalize(utterance.text or "", normalizer) for utterance in batch]
            self.seconds += [len(waveform) / recognizer.sample_rate for waveform in waveforms]
            self.encodings.append(recognizer.engine.encode(waveforms))
        if not any(self.references):
            raise UserError("the validation set has no transcripts to tune on; give --data-dir one with a 'text' file")

    def try_settings(self, settings: Search) -> Trial:
        """The word errors that these settings make, and how long they search."""
        if settings not in self.trials:
            started = time.process_time()
            hypotheses = self._search(settings)
            taken = time.process_time() - started
            alignments = align_texts(self.references, [self._decode(hypothesis) for hypothesis in hypotheses], "word")
            words = sum((alignment.error_rate for alignment in alignments), ErrorRate())
            self.trials[settings] = Trial(settings, words, taken / sum(self.seconds))
        return self.trials[settings]

    def compute_confidence_auc(self, settings: Search) -> float:
        """How well the confidences of words tell right ones from wrong ones; see `Grades.auc`."""
        hypotheses = self._search(settings)
        alignments = align_texts(self.references, [self._decode(hypothesis) for hypothesis in hypotheses], "word")
        log_probs = [utterance for encoding in self.encodings for utterance in encoding.log_probs]
        words = map(self.recognizer.make_words, hypotheses, log_probs, self.seconds)
        return grade_words(alignments, ([word.confidence for word in said] for said in words)).auc

    def _search(self, settings: Search) -> list[Hypothesis]:
        judges = self.recognizer.judges
        return [hypothesis for encoding in self.encodings for hypothesis in self.mode(encoding, settings, judges)]

    def _decode(self, hypothesis: Hypothesis) -> str:
        return self.recognizer.tokenizer.decode(hypothesis.tokens)


def _count_errors(trial: Trial) -> int:
    return trial.words.errors


def _iter_neighbours(settings: Search, steps: Mapping[str, float]) -> Iterator[Search]:
    for name, step in steps.items():
        for value in (getattr(settings, name) + step, getattr(settings, name) - step):
            if name == "word_bonus" or 0 <= value <= (1 if name in SHARES else value):
                yield settings.model_copy(update={name: round(value, 4)})


def _choose(utterances: list[Utterance], max_seconds: float) -> tuple[list[Utterance], list[Utterance]]:
    """Every n-th utterance, so that at most about `max_seconds` of audio are left, and as many others between them."""
    every = max(1, math.ceil(sum(utterance.seconds for utterance in utterances) / max_seconds))
    return utterances[::every], utterances[every // 2 :: every] if every > 1 else []
