"""Every knob of audioroto: what it means, its unit, its default.

Authority: the defaults here < `--config` TOML files, left to right < `--set section.key=value`. The resolved
configuration is written to the experiment folder and carried inside the checkpoint.
"""

import difflib
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audioroto.errors import UserError
from audioroto.files import write_text


class Section(BaseModel):
    """A table of the TOML file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Features(Section):
    """Waveform to log-mel frames; Kaldi's fbank, 25 ms windows every 10 ms."""

    sample_rate: int = Field(
        16000, ge=2000, description="samples per second that the model works at; files are resampled to it"
    )
    num_mels: int = Field(80, ge=8, description="mel bins")


class Text(Section):
    """Transcripts to tokens."""

    normalizer: str = Field(
        "librispeech-v1", description="named, versioned normaliser applied to transcripts before training"
    )
    units: Literal["bpe", "unigram", "char"] = Field("bpe", description="sentencepiece model type")
    vocab_size: int = Field(256, ge=4, description="tokens with the blank; an upper bound for units = char")


class Encoder(Section):
    """The encoder: convolutional front end, then blocks of feed-forward ½, attention, convolution, feed-forward ½."""

    subsampling: Literal[4, 8] = Field(8, description="frames that become one in the front end")
    subsampling_channels: int = Field(32, ge=1, description="channels of the front end's two-dimensional convolutions")
    width: int = Field(256, ge=8, description="model width D")
    num_blocks: int = Field(10, ge=1, description="blocks")
    num_heads: int = Field(4, ge=1, description="attention heads H; D / H is the head width K, 64 is fast")
    feedforward_width: int = Field(1024, ge=1, description="hidden width of each half feed-forward")
    kernel_size: int = Field(15, ge=1, description="frames seen by the depthwise convolution; odd")
    dropout: float = Field(
        0.1, ge=0.0, lt=1.0, description="probability that a channel of a branch is dropped for an utterance"
    )

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(
                f"width {self.width} must be num_heads {self.num_heads} times an even head width; "
                f"try width = {self.num_heads * 64}"
            )
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} must be odd; try {self.kernel_size + 1}")
        return self


class Augment(Section):
    """What training does to the speech before it hears it; every draw is keyed by (seed, epoch, utterance)."""

    speeds: tuple[float, ...] = Field(
        (0.9, 1.0, 1.1), min_length=1, description="speed factors, one drawn for each utterance and epoch"
    )
    volume_decibels: float = Field(6.0, ge=0.0, description="gain drawn from ± this")
    reverberation_share: float = Field(
        0.0, ge=0.0, le=1.0, description="probability that an utterance is heard in a room"
    )
    impulse_response_dir: str = Field(
        "", description="folder of recorded room impulse responses, taken half the time; empty: simulated rooms alone"
    )
    noise_share: float = Field(0.0, ge=0.0, le=1.0, description="probability that noise is added to an utterance")
    noise_snr_decibels: tuple[float, float] = Field(
        (5.0, 20.0), description="lowest and highest signal-to-noise ratio, drawn between"
    )
    noise_dir: str = Field(
        "",
        description="folder of noises, searched in all its folders but impulse_response_dir and those named rir or "
        "rir_…; empty: made noise, white to pink",
    )
    frequency_masks: int = Field(2, ge=0, description="SpecAugment: masks over mel bins")
    frequency_mask_bins: int = Field(27, ge=0, description="SpecAugment: widest frequency mask, in mel bins")
    time_masks_per_second: float = Field(
        0.7, ge=0.0, description="SpecAugment: masks over frames for each second of audio"
    )
    max_time_masks: int = Field(10, ge=0, description="SpecAugment: most time masks for an utterance")
    time_mask_share: float = Field(
        0.05, ge=0.0, le=1.0, description="SpecAugment: widest time mask as a share of the utterance"
    )
    start_update: int = Field(
        0, ge=0, description="SpecAugment and dropout grow linearly from nothing over this many updates"
    )

    @model_validator(mode="after")
    def _ratios_ascend(self) -> Self:
        low, high = self.noise_snr_decibels
        if not low <= high:
            raise ValueError(f"noise_snr_decibels {low:g} to {high:g} must ascend; try [{high:g}, {low:g}]")
        return self


class Train(Section):
    """The training run."""

    seed: int = Field(1, ge=0, description="the one seed all random draws are keyed by")
    max_updates: int = Field(2000, ge=1, description="optimizer updates in the run")
    batch_seconds: float = Field(60.0, gt=0.0, description="seconds of audio for each update")
    max_utterance_seconds: float = Field(
        30.0, gt=0.0, description="longer training utterances are left out, and listed"
    )
    min_utterance_seconds: float = Field(
        0.1, ge=0.0, description="shorter training utterances are left out, and listed"
    )
    learning_rate: float = Field(2e-3, gt=0.0, description="peak learning rate of AdamW")
    warmup_updates: int = Field(200, ge=1, description="updates of linear warm-up")
    final_learning_rate_share: float = Field(
        0.02, ge=0.0, le=1.0, description="share of the peak left at the end of the cosine"
    )
    weight_decay: float = Field(
        0.01, ge=0.0, description="AdamW weight decay of matrices; vectors and scales have none"
    )
    clip_norm: float = Field(1.0, gt=0.0, description="gradient norm above which gradients are scaled down")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 autocast where the processor multiplies it fast"
    )
    short_first_epochs: int = Field(1, ge=0, description="epochs at the start that go from short to long utterances")
    valid_every_updates: int = Field(200, ge=1, description="updates between validations, checkpoints and pictures")
    keep_checkpoints: int = Field(5, ge=1, description="best checkpoints, by validation WER, kept for averaging")
    log_every_updates: int = Field(20, ge=1, description="updates between lines of metrics.jsonl")
    num_workers: int = Field(1, ge=0, description="processes that load and perturb audio; 0: in the training process")


class Config(Section):
    """The whole configuration: one section a room."""

    features: Features = Features()
    text: Text = Text()
    encoder: Encoder = Encoder()
    augment: Augment = Augment()
    train: Train = Train()


def load_config(paths: Iterable[str | Path] = (), overrides: Iterable[str] = ()) -> Config:
    """The configuration from TOML files, left to right, then `section.key=value` overrides.

    Raises UserError that names the file or override, the key and, for an unknown key, the nearest one.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            with open(path, "rb") as file:
                table = tomllib.load(file)
        except FileNotFoundError:
            raise UserError(f"configuration {path} does not exist; give --config an existing TOML file") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"configuration {path} is not valid TOML: {error}") from None
        _refuse_unknown_keys(table, source=str(path))
        _merge(merged, table)
    for override in overrides:
        table = _read_override(override)
        _refuse_unknown_keys(table, source=f"--set {override}")
        _merge(merged, table)
    return parse_config(merged, source="configuration")


def parse_config(table: dict[str, Any], source: str) -> Config:
    """The configuration in nested dictionaries, as TOML or a checkpoint has it.

    Raises UserError that names `source` and every key at fault.
    """
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        raise UserError(f"{source}: " + "; ".join(_explain(problem) for problem in error.errors())) from None


def save_config(config: Config, path: str | Path) -> None:
    """Write the resolved configuration as TOML that `load_config` reads back equal."""
    import tomli_w

    write_text(path, tomli_w.dumps(config.model_dump(mode="json")))


def iter_settings(config: Config) -> Iterator[tuple[str, Any, str]]:
    """Each setting as (`section.key`, value, meaning), in the order of this file."""
    for section_name in type(config).model_fields:
        section = getattr(config, section_name)
        for key, field in type(section).model_fields.items():
            yield f"{section_name}.{key}", getattr(section, key), field.description or ""


def _refuse_unknown_keys(table: dict[str, Any], source: str) -> None:
    """Refuse unknown keys where they are read; values wait until every source is merged: they may belong together."""
    try:
        Config.model_validate(table)
    except ValidationError as error:
        unknown = [_explain(problem) for problem in error.errors() if problem["type"] == "extra_forbidden"]
        if unknown:
            raise UserError(f"{source}: " + "; ".join(unknown)) from None


def _merge(into: dict[str, Any], table: dict[str, Any]) -> None:
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _read_override(override: str) -> dict[str, Any]:
    key, equals, value = override.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name):
        raise UserError(f"--set {override}: write --set section.key=value, for example --set train.seed=2")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()  # a bare word is a string
    return {section: {name: parsed}}


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    where = ".".join(location)
    if problem["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(where, _known_keys(), n=1, cutoff=0.0)
        return f"unknown key {where}; the nearest is {nearest[0]}"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}" + (
        f" (got {problem['input']!r})" if not isinstance(problem["input"], dict | BaseModel) else ""
    )


def _known_keys() -> list[str]:
    return [*Config.model_fields, *(name for name, _, _ in iter_settings(Config()))]
