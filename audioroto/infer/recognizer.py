"""A model that turns samples into text."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

import numpy as np

from audioroto.audio.decode import RATES
from audioroto.audio.resample import Resampler, resample
from audioroto.audio.segment import AudioSegment, compute_levels, iter_segments
from audioroto.audio.source import AudioSource
from audioroto.audio.stream import iter_blocks
from audioroto.config import Search
from audioroto.errors import AudioError, UserError
from audioroto.infer.modes import MODES, MODES_WITH_DECODER, MODES_WITH_LM, MODES_WITH_NEURAL_LM, Judges, find_mode
from audioroto.infer.seam import join_all
from audioroto.infer.segment import Segment, Word
from audioroto.infer.stretches import Progress, WholeEncoding, iter_batches
from audioroto.infer.transcript import Transcript, make_words
from audioroto.model.onnx_file import SUFFIX
from audioroto.model.pretrained import DEFAULT_MODEL, find_lm, find_neural_lm, load_search
from audioroto.search.ctc_align import align_hypothesis
from audioroto.search.hypothesis import Hypothesis
from audioroto.search.word_model import WordModel, has_ngrams

if TYPE_CHECKING:
    from torch import Tensor

    from audioroto.infer.engine import Encoding
    from audioroto.model.language_model import LanguageModel

EngineName: TypeAlias = Literal["auto", "torch", "onnx"]
Audio: TypeAlias = "AudioSource | np.ndarray | Tensor | Iterator[np.ndarray]"
Recognize: TypeAlias = Callable[[Sequence[np.ndarray]], list[Transcript]]  # a batch to what each waveform says

logger = logging.getLogger(__name__)


class Recognizer:
    """A loaded model. `transcribe` takes one recording, `recognize` a batch of waveforms at the model's rate.

    `search` holds the settings of the searches, `words` the n-gram that all but ctc_greedy ask, `language_model` the
    neural one that attention and joint ask, `mode` the search that is taken where none is named.
    """

    def __init__(
        self,
        engine: Any,
        search: Search | None = None,
        words: WordModel | None = None,
        language_model: "LanguageModel | None" = None,
    ) -> None:
        self.engine = engine
        self.settings = search or Search()
        self.words = words
        self.language_model = language_model
        self.tokenizer = engine.tokenizer
        self.sample_rate: int = engine.config.features.sample_rate

    def transcribe(
        self,
        audio: Audio,
        rate: int | None = None,
        mode: str | None = None,
        *,
        batch_seconds: float = 60.0,
        whole: bool = False,
    ) -> Transcript:
        """What a recording of any length says: a file's path, its bytes, an open file, or samples with their `rate`.

        Samples are a NumPy array or a tensor of floats in [−1, 1], (S,) or (S, channels), or an iterator over blocks of
        them. Segments of speech are computed `batch_seconds` at a time, which changes nothing but speed and memory.
        `whole` encodes the recording in one piece: everything is heard in all of its context, and memory grows with the
        length. Several threads may call this at once. Raises AudioError that names what cannot be read, UserError for
        an unknown mode.
        """
        progress = Progress()
        segments = tuple(self._iter_segments(audio, rate, mode or self.mode, batch_seconds, whole, progress))
        return Transcript(segments, progress.num_samples / self.sample_rate, gated=not progress.num_stretches)

    def iter_transcribe(
        self,
        audio: Audio,
        rate: int | None = None,
        mode: str | None = None,
        *,
        batch_seconds: float = 60.0,
        whole: bool = False,
        recognize: Recognize | None = None,
    ) -> Iterator[Segment]:
        """The segments that `transcribe` puts together, in time order, each as soon as it is found.

        Unless `whole`, `recognize` stands in for this recognizer's own in `mode`; that of a server batches over users.
        """
        return self._iter_segments(audio, rate, mode or self.mode, batch_seconds, whole, Progress(), recognize)

    def recognize(self, waveforms: Sequence[np.ndarray], mode: str | None = None) -> list[Transcript]:
        """The text of each waveform (S,), float32 at `sample_rate`, computed as one batch."""
        return self.search(waveforms, self.engine.encode(waveforms), mode or self.mode)

    def search(self, waveforms: Sequence[np.ndarray], encoding: "Encoding", mode: str) -> list[Transcript]:
        """The text of each waveform, by what the engine has heard in them; for several modes, encode once."""
        hypotheses = find_mode(mode)(encoding, self.settings, self.judges)
        return [
            self._make_transcript(waveform, hypothesis, log_probs)
            for waveform, hypothesis, log_probs in zip(waveforms, hypotheses, encoding.log_probs, strict=True)
        ]

    @property
    def mode(self) -> str:
        """The search where none is named: what the settings say, or the best that this model can do."""
        if self.settings.mode != "auto":
            return self.settings.mode
        if self.engine.decoder is not None:
            return "joint"
        return "ctc_beam" if self.words else "ctc_greedy"

    @property
    def modes(self) -> list[str]:
        """The modes that this model can search in."""
        has_decoder = self.engine.decoder is not None
        return [mode for mode in MODES if has_decoder or mode not in MODES_WITH_DECODER]

    @property
    def judges(self) -> Judges:
        """What has its say about texts beside CTC."""
        return Judges(self.engine.decoder, self.words, self.language_model)

    def name_lm(self, mode: str) -> str | None:
        """The files of the language models that a mode asks, or None."""
        words = self.words if mode in MODES_WITH_LM else None
        neural = self.language_model if mode in MODES_WITH_NEURAL_LM else None
        return " + ".join(Path(lm.path).name for lm in (words, neural) if lm and lm.path) or None

    def is_too_quiet(self, waveform: np.ndarray) -> bool:
        """Whether nothing in the waveform (S,) is as loud as `search.gate_decibels`; then it says nothing."""
        return not len(waveform) or compute_levels(waveform, self.sample_rate).max() < self.settings.gate_decibels

    def make_words(self, hypothesis: Hypothesis, log_probs: np.ndarray, seconds: float) -> tuple[Word, ...]:
        """The words of a hypothesis, with times and confidences, from the log-probabilities (T, V) of `seconds`."""
        aligned = align_hypothesis(hypothesis, log_probs)
        return make_words(aligned, self.tokenizer.pieces, self.engine.frame_seconds, seconds)

    def _iter_segments(
        self,
        audio: Audio,
        rate: int | None,
        mode: str,
        batch_seconds: float,
        whole: bool,
        progress: Progress,
        recognize: Recognize | None = None,
    ) -> Iterator[Segment]:
        find_mode(mode)
        blocks = progress.count(_iter_mono(audio, rate, self.sample_rate))
        whole_encoding: WholeEncoding | None = None
        if whole:
            samples = np.concatenate(list(blocks))
            blocks, whole_encoding = iter([samples]), WholeEncoding(self.engine, samples)

        def hear(stretches: Sequence[AudioSegment]) -> list[Transcript]:
            waveforms = [stretch.samples for stretch in stretches]
            if whole_encoding:
                return self.search(waveforms, whole_encoding(stretches), mode)
            return recognize(waveforms) if recognize else self.recognize(waveforms, mode)

        stretches = iter_segments(blocks, self.sample_rate, gate_decibels=self.settings.gate_decibels)
        for segment in join_all(self._iter_heard(stretches, hear, batch_seconds, progress)):
            if segment.text:
                yield segment

    def _iter_heard(
        self,
        stretches: Iterable[AudioSegment],
        hear: Callable[[Sequence[AudioSegment]], list[Transcript]],
        batch_seconds: float,
        progress: Progress,
    ) -> Iterator[tuple[Segment, bool]]:
        """Each stretch of speech as a segment, and whether the next one overlaps it."""
        for batch in iter_batches(stretches, batch_seconds * self.sample_rate):
            progress.num_stretches += len(batch)
            for stretch, transcript in zip(batch, hear(batch), strict=True):
                for segment in transcript.segments:
                    yield segment.shift(stretch.start_seconds), stretch.is_cut

    def _make_transcript(self, waveform: np.ndarray, hypothesis: Hypothesis, log_probs: np.ndarray) -> Transcript:
        seconds = len(waveform) / self.sample_rate
        if self.is_too_quiet(waveform):
            return Transcript((), seconds, gated=True)
        words = self.make_words(hypothesis, log_probs, seconds)
        segment = Segment(self.tokenizer.decode(hypothesis.tokens), 0.0, seconds, words, hypothesis.score)
        is_sure = segment.confidence >= self.settings.min_confidence
        return Transcript((segment,) if is_sure else (), seconds)


def load_model(
    path: str | Path = DEFAULT_MODEL,
    device: str = "auto",
    search: Search | None = None,
    lm: str | os.PathLike[str] | None = None,
    *,
    engine: EngineName = "auto",
    threads: int | None = None,
) -> Recognizer:
    """The recognizer in a model file, or in what was exported from it; `lm` is an ARPA file (not for ctc_greedy).

    The name of a model that comes with the package does as well as a path, and brings its settings and its language
    models with it where `search` and `lm` are not given; each only if the search asks it, the n-gram only if
    flashlight-text is there. A file that ends in .onnx runs by onnxruntime, without torch, any other by torch; `engine`
    may insist on one of them. It computes with so many `threads`, or as many as it takes by itself. Raises UserError
    when a file is missing, damaged or not what it should be.
    """
    loaded = _load_engine(path, device, engine, threads)
    search = search or load_search(path)
    lm = lm or _choose_lm(path, search)
    words = WordModel(lm, loaded.tokenizer, search.open_vocabulary) if lm else None
    return Recognizer(loaded, search, words, _load_language_model(path, search, loaded))


def _load_language_model(model: str | Path, search: Search, engine: Any) -> "LanguageModel | None":
    """The neural language model that the settings name, or that comes with the model where the search asks it."""
    own = find_neural_lm(model) if search.mode in ("auto", *MODES_WITH_NEURAL_LM) else None
    path = search.neural_lm or own
    if not (path and search.neural_lm_weight and engine.decoder):
        return None
    from audioroto.model.language_model import load_language_model

    return load_language_model(path, engine.tokenizer).to(engine.device)


def _choose_lm(model: str | Path, search: Search) -> Path | None:
    """The n-gram that comes with a model, where the search asks one and it can be asked."""
    lm = find_lm(model) if search.lm_weight and search.mode in ("auto", *MODES_WITH_LM) else None
    if lm and not has_ngrams():
        logger.info("%s makes fewer word errors with its n-gram: pip install 'audioroto[lm]'", model)
        return None
    return lm


def _load_engine(path: str | Path, device: str, engine: EngineName, threads: int | None) -> Any:
    if Path(path).suffix.lower() == SUFFIX:
        if engine == "torch":
            raise UserError(f"{path} is an ONNX file, which torch does not run; give the model file it was made from")
        from audioroto.infer.onnx_engine import OnnxEngine

        return OnnxEngine(path, device, threads)
    if engine == "onnx":
        raise UserError(f"{path} is not an ONNX file; make one: audioroto export {path} --out model{SUFFIX}")
    from audioroto.infer.engine import TorchEngine

    return TorchEngine(path, device, threads)


def _is_source(audio: Audio) -> TypeGuard[AudioSource]:
    return isinstance(audio, str | os.PathLike | bytes) or hasattr(audio, "read")


def _iter_mono(audio: Audio, rate: int | None, to_rate: int) -> Iterator[np.ndarray]:
    if _is_source(audio):
        yield from iter_blocks(audio, to_rate)
        return
    if rate is None:
        raise AudioError("samples without their rate; call transcribe(samples, rate=16000) with the true rate in hertz")
    if not RATES.start <= rate < RATES.stop:
        raise AudioError(f"samples at {rate} Hz; give their true rate, from {RATES.start} to {RATES.stop - 1}")
    if isinstance(audio, Iterator):
        resampler, num_channels = Resampler(rate, to_rate), 1
        for block in audio:
            samples = _as_array(block)
            if samples.size:
                yield resampler.resample(_as_mono(samples, num_channels))
                num_channels = samples[0].size
        yield resampler.finish()
    else:
        yield resample(_as_mono(_as_array(audio)), rate, to_rate)


def _as_array(audio: Any) -> np.ndarray:
    try:
        return np.asarray(audio if isinstance(audio, np.ndarray) else audio.detach().cpu())
    except (AttributeError, TypeError) as error:  # a tensor may be of a type that NumPy lacks
        raise AudioError(f"{type(audio).__name__} is no audio ({error}); give a path, bytes, or floats") from None


def _as_mono(samples: np.ndarray, num_channels: int = 1) -> np.ndarray:
    """Floats (S,) or (S, channels) to (S,) float32; more channels than samples only if so many are known."""
    has_channels = samples.ndim == 2
    is_turned = has_channels and samples.shape[1] > max(len(samples), num_channels)
    if samples.ndim not in (1, 2) or samples.size == 0 or is_turned:
        raise AudioError(f"samples of shape {samples.shape}; give (S,) or (S, channels) with S > 0")
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"samples are {samples.dtype}; give floats in [−1, 1], for 16-bit integers samples / 32768")
    mono = samples.astype(np.float32)
    mono = mono.mean(axis=1) if has_channels else mono  # (S,)
    if not np.isfinite(mono).all():
        raise AudioError("samples hold NaN or infinity; repair the recording first")
    return mono
