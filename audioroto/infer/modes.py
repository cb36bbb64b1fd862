"""The searches by name: what the engine has heard in a batch, to the best hypothesis of each utterance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from audioroto.config import Search
from audioroto.errors import UserError
from audioroto.search.ctc_beam import ctc_beam
from audioroto.search.ctc_greedy import ctc_greedy
from audioroto.search.hypothesis import Hypothesis
from audioroto.search.word_model import WordModel

if TYPE_CHECKING:
    from audioroto.infer.engine import Encoding
    from audioroto.model.decoder import Decoder
    from audioroto.model.language_model import LanguageModel
    from audioroto.search.fusion import WordFusion
    from audioroto.search.speaker import Speaker


@dataclass(frozen=True)
class Judges:
    """What has its say about texts beside CTC, each where there is one."""

    decoder: "Decoder | None" = None
    words: WordModel | None = None
    language_model: "LanguageModel | None" = None


Mode: TypeAlias = Callable[["Encoding", Search, Judges], list[Hypothesis]]


def find_mode(name: str) -> Mode:
    """The search of that name. Raises UserError that lists the names."""
    if name not in MODES:
        raise UserError(f"there is no mode '{name}'; the modes are {', '.join(MODES)}")
    return MODES[name]


def _ctc_greedy(encoding: "Encoding", settings: Search, judges: Judges) -> list[Hypothesis]:
    return [ctc_greedy(log_probs) for log_probs in encoding.log_probs]


def _ctc_beam(encoding: "Encoding", settings: Search, judges: Judges) -> list[Hypothesis]:
    return [candidates[0] for candidates in _find_candidates(encoding.log_probs, settings, judges.words, num_best=1)]


def _attention(encoding: "Encoding", settings: Search, judges: Judges) -> list[Hypothesis]:
    from audioroto.search.attention_beam import attention_beam

    found = attention_beam(
        _make_speaker(settings, judges),
        encoding.frames,
        encoding.lengths,
        beam_size=settings.attention_beam_size,
        length_bonus=settings.length_bonus,
        fusion=_make_fusion(settings, judges.words),
    )
    return [candidates[0] for candidates in found]


def _joint(encoding: "Encoding", settings: Search, judges: Judges) -> list[Hypothesis]:
    from audioroto.search.joint import joint_beam

    found = joint_beam(
        _make_speaker(settings, judges),
        encoding.frames,
        encoding.lengths,
        encoding.padded_log_probs,
        beam_size=settings.attention_beam_size,
        ctc_weight=settings.ctc_weight,
        length_bonus=settings.length_bonus,
        fusion=_make_fusion(settings, judges.words),
    )
    return [candidates[0] for candidates in found]


def _rescoring(encoding: "Encoding", settings: Search, judges: Judges) -> list[Hypothesis]:
    from audioroto.search.rescoring import rescore

    found = rescore(
        _need(judges.decoder),
        encoding.frames,
        encoding.lengths,
        _find_candidates(encoding.log_probs, settings, judges.words, settings.num_best),
        ctc_weight=settings.ctc_weight,
        length_bonus=settings.length_bonus,
    )
    return [candidates[0] for candidates in found]


def _find_candidates(
    log_probs: Sequence[np.ndarray], settings: Search, words: WordModel | None, num_best: int
) -> list[list[Hypothesis]]:
    """The `num_best` texts that ctc_beam finds for each utterance's log-probabilities (T, V), best first."""
    return [
        ctc_beam(
            utterance,
            beam_size=settings.beam_size,
            beam_threshold=settings.beam_threshold,
            num_best=num_best,
            words=words,
            lm_weight=settings.lm_weight,
            word_bonus=settings.word_bonus,
        )
        for utterance in log_probs
    ]


def _make_fusion(settings: Search, words: WordModel | None) -> "WordFusion | None":
    from audioroto.search.fusion import WordFusion

    if words is None:
        return None
    return WordFusion(words, settings.lm_weight, settings.word_bonus)


def _make_speaker(settings: Search, judges: Judges) -> "Decoder | Speaker":
    """The decoder, with the say of the language models that the settings give it."""
    from audioroto.search.speaker import Speaker

    decoder, language_model = _need(judges.decoder), judges.language_model
    neural_lm_weight = settings.neural_lm_weight if language_model else 0.0
    internal_lm_weight = settings.internal_lm_weight if judges.words or neural_lm_weight else 0.0
    if not (neural_lm_weight or internal_lm_weight):
        return decoder
    return Speaker(decoder, internal_lm_weight, language_model, neural_lm_weight)


def _need(decoder: "Decoder | None") -> "Decoder":
    if decoder is None:
        raise UserError(
            "the model has no attention decoder, as no exported one has; search with ctc_greedy or ctc_beam, "
            "or train with decoder.num_blocks above 0"
        )
    return decoder


# The way in for every search. Those in torch are imported inside.
MODES: dict[str, Mode] = {
    "ctc_greedy": _ctc_greedy,
    "ctc_beam": _ctc_beam,
    "attention": _attention,
    "joint": _joint,
    "rescoring": _rescoring,
}
MODES_WITH_LM = tuple(mode for mode in MODES if mode != "ctc_greedy")
MODES_WITH_DECODER = ("attention", "joint", "rescoring")
MODES_WITH_NEURAL_LM = ("attention", "joint")
