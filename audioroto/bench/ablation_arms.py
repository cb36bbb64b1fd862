"""What the ablation compares: a baseline, and arms that each change one named field of the configuration.

There are two groups of arms: the encoder's components, and the switches of training.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from audioroto.config import Config, load_config
from audioroto.errors import UserError
from audioroto.model.asr import build_model, count_parameters

PARAMETER_TOLERANCE = 0.01


@dataclass(frozen=True)
class Arm:
    """A named set of changes to the baseline, as `section.key=value`.

    `against` is the arm that tells what the last field is worth, where that field needs another one beside it.
    """

    name: str
    title: str
    changes: tuple[str, ...]
    against: str = "baseline"

    @property
    def kind(self) -> str:
        """How many fields lie between this arm and the one that it is held against."""
        if not self.changes:
            return "baseline"
        partner = ARMS[self.against].changes
        if len(set(self.changes) - set(partner)) > 1:
            return "composite"
        return "pair" if partner else "one field"


# Every field that an arm of the components may change, at its plainest. So many `global_keys` keep attention dense at
# any length. The switches are changed from what the configuration has.
BASELINE = (
    "encoder.coupling=sequential",
    "encoder.local_heads=0",
    "encoder.global_keys=1000000",
    "encoder.pooled_share=0.0",
    "encoder.qk_norm=false",
    "encoder.bias=none",
    "position.kind=rotary",
    "position.spacing=standard",
    "position.base=10000.0",
    "position.mode=fixed",
    "rotation.planes=none",
    "rotation.rounds=0",
    "rotation.orthogonal=none",
    "rotation.share=none",
    "rotation.values=false",
)

_QK_NORM = "encoder.qk_norm=true"
_GIVENS = "rotation.planes=butterfly"
_ORTHOGONAL = "rotation.orthogonal=cayley"
_HYBRID = "encoder.local_heads={half_heads}"

# In the order in which they are run. A rotation before rotary is absorbed by the projections of queries and keys unless
# their normalisation stands between: so it is judged beside qk_norm, and qk_norm by itself.
_COMPONENTS = (
    Arm("baseline", "sequential, dense, standard rotary, base 10 000 fixed", ()),
    Arm(
        "all",
        "all components on",
        (
            "encoder.coupling=parallel",
            _HYBRID,
            "encoder.global_keys=512",
            "encoder.pooled_share=0.25",
            "encoder.bias=dynamic",
            "position.mode=loss",
            _QK_NORM,
            _GIVENS,
            _ORTHOGONAL,
        ),
    ),
    Arm("base_loss", "base answers to the loss", ("position.mode=loss",)),
    Arm("base_learned", "base learned", ("position.mode=learned",)),
    Arm("frequencies_learned", "frequencies learned, per head", ("position.mode=learned_frequencies",)),
    Arm("qk_norm", "queries and keys normalised", (_QK_NORM,)),
    Arm("givens", "Givens rotations", (_QK_NORM, _GIVENS), against="qk_norm"),
    Arm("orthogonal", "learned rotation R", (_QK_NORM, _ORTHOGONAL), against="qk_norm"),
    Arm("givens_orthogonal", "Givens rotations and R", (_QK_NORM, _GIVENS, _ORTHOGONAL), against="qk_norm"),
    Arm("bias_buckets", "relative bias in buckets", ("encoder.bias=buckets",)),
    Arm("bias_dynamic", "dynamic relative bias", ("encoder.bias=dynamic",)),
    Arm("local", "all heads local", ("encoder.local_heads={all_heads}",)),
    Arm("hybrid", "half of the heads local", (_HYBRID,)),
    Arm("parallel", "attention beside convolution", ("encoder.coupling=parallel",)),
    Arm("no_position", "no position at all", ("position.kind=none",)),
    Arm("transformer_xl", "Transformer-XL relative positions", ("position.kind=transformer_xl",)),
)

# What training does with the same audio and the same encoder. Two views of an utterance cost as much as two utterances:
# in batches of half the audio, so that as much is computed in as many updates (as in arXiv 2410.05101).
_SWITCHES = (
    Arm(
        "cr_ctc",
        "two views that agree (CR-CTC), in batches of half the audio",
        ("loss.consistency_weight=0.2", "train.batch_seconds={half_batch_seconds}"),
    ),
    Arm("adamw", "AdamW for the blocks' matrices too", ("train.optimizer=adamw",)),
    Arm("intermediate_ctc", "CTC after the middle block too", ("loss.intermediate_weight=0.3",)),
    Arm("weight_average", "running average of the weights", ("train.average_decay=0.99",)),
    Arm("layer_drop", "blocks passed by, the last one in ten batches", ("encoder.layer_drop=0.1",)),
    Arm("noise", "noise in half of the utterances", ("augment.noise_share=0.5",)),
    Arm("reverberation", "half of the utterances in a room", ("augment.reverberation_share=0.5",)),
    Arm("nonspeech", "noise alone in place of one in twenty utterances", ("augment.nonspeech_share=0.05",)),
    Arm("speed_off", "without other speeds", ("augment.speeds=[1.0]",)),
    Arm("volume_off", "without other volumes", ("augment.volume_decibels=0.0",)),
    Arm("spec_augment_off", "without SpecAugment", ("augment.frequency_masks=0", "augment.max_time_masks=0")),
    Arm("curriculum_off", "without short utterances first", ("train.short_first_epochs=0",)),
)

ARMS = {arm.name: arm for arm in (*_COMPONENTS, *_SWITCHES)}

GROUPS = {
    "components": tuple(arm.name for arm in _COMPONENTS),
    "switches": ("baseline", *(arm.name for arm in _SWITCHES)),
}


def find_arms(names: Iterable[str]) -> list[Arm]:
    """The arms of these names, or of these groups, in the order in which they are run. UserError for unknown names."""
    names = {arm for name in names for arm in GROUPS.get(name, (name,))}
    unknown = sorted(names - set(ARMS))
    if unknown or not names:
        raise UserError(
            f"there is no arm '{', '.join(unknown)}' to run; the arms are {', '.join(ARMS)}; "
            f"the groups of them {', '.join(GROUPS)}"
        )
    return [ARMS[name] for name in ARMS if name in names]


def configure_arm(arm: Arm, seed: int, paths: Sequence[str | Path], overrides: Sequence[str]) -> Config:
    """The configuration of a run: files and overrides, then the baseline's fields, then the arm's changes.

    Raises UserError for an override of a field that the ablation sets, because it would have no effect, and for an arm
    that changes nothing, because its field is so already.
    """
    controlled = {change.partition("=")[0] for change in BASELINE} | {"train.seed"}
    for override in overrides:
        if override.partition("=")[0].strip() in controlled:
            raise UserError(f"--set {override}: the ablation sets this field itself; choose --arms and --seeds instead")
    load = partial(load_config, paths)
    baseline = load([*overrides, *BASELINE, f"train.seed={seed}"])
    num_heads = baseline.encoder.num_heads
    values = {
        "half_heads": max(1, num_heads // 2),
        "all_heads": num_heads,
        "half_batch_seconds": baseline.train.batch_seconds / 2,
    }
    changes = [change.format(**values) for change in arm.changes]
    config = load([*overrides, *BASELINE, *changes, f"train.seed={seed}"])
    if arm.changes and config == baseline:
        raise UserError(f"arm {arm.name}: the configuration has {' '.join(changes)} already; leave one of them out")
    return config


def match_parameters(config: Config, num_parameters: int, vocab_size: int) -> Config:
    """`config` with the feed-forward width that brings the model nearest to `num_parameters`.

    A multiple of 8, which is fast, where one is near enough. Raises UserError when nothing is within 1 %.
    """
    width = config.encoder.feedforward_width
    count = _count(config, vocab_size)
    for_one = _count(_widen(config, width + 1), vocab_size) - count
    excess = num_parameters - count
    for step in (8, 1):
        matched = width + step * round(excess / for_one / step)
        if matched >= 1 and abs(count + (matched - width) * for_one - num_parameters) <= (
            PARAMETER_TOLERANCE * num_parameters
        ):
            return _widen(config, matched)
    raise UserError(
        f"no encoder.feedforward_width brings this arm's {count:,} parameters within 1 % of the baseline's "
        f"{num_parameters:,}; give a larger encoder.feedforward_width"
    )


def _count(config: Config, vocab_size: int) -> int:
    return count_parameters(build_model(config, vocab_size))


def _widen(config: Config, feedforward_width: int) -> Config:
    encoder = config.encoder.model_copy(update={"feedforward_width": feedforward_width})
    return config.model_copy(update={"encoder": encoder})
