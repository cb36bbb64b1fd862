import pytest

from audioroto.bench.ablation_arms import ARMS, BASELINE, GROUPS, configure_arm, find_arms, match_parameters
from audioroto.config import Config, iter_settings
from audioroto.errors import UserError
from audioroto.model.asr import build_model, count_parameters

SIZES = ["encoder.width=64", "encoder.num_heads=4", "encoder.num_blocks=2", "encoder.feedforward_width=96"]
VOCAB_SIZE = 30


def settings_of(config: Config) -> dict[str, object]:
    return {name: value for name, value, _ in iter_settings(config)}


def changed_fields(name: str, other: str) -> set[str]:
    ours, theirs = (settings_of(configure_arm(ARMS[arm], 1, [], SIZES)) for arm in (name, other))
    return {field for field in ours if ours[field] != theirs[field]}


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_differs_from_its_partner_by_one_field_or_is_called_composite(name):
    arm = ARMS[name]
    number = {"baseline": 0, "one field": 1, "pair": 1}.get(arm.kind)
    if number is None:
        assert arm.kind == "composite"
        assert len(changed_fields(name, arm.against)) > 1
    else:
        assert len(changed_fields(name, arm.against)) == number
    if arm.kind == "one field":
        assert arm.against == "baseline"
    if arm.kind == "pair":
        assert changed_fields(name, "baseline") > changed_fields(name, arm.against)


def test_every_field_of_a_component_is_pinned_by_the_baseline_and_no_switch_is():
    pinned = {change.partition("=")[0] for change in BASELINE}
    components, switches = (
        {change.partition("=")[0] for name in GROUPS[group] for change in ARMS[name].changes}
        for group in ("components", "switches")
    )
    assert components <= pinned
    assert not switches & pinned


def test_a_switch_that_is_so_already_is_refused():
    with pytest.raises(UserError, match=r"arm volume_off: the configuration has augment\.volume_decibels=0\.0 already"):
        configure_arm(ARMS["volume_off"], 1, [], ["augment.volume_decibels=0.0"])
    configure_arm(ARMS["speed_off"], 1, [], ["augment.volume_decibels=0.0"])


def test_two_views_are_computed_in_batches_of_half_the_audio():
    config = configure_arm(ARMS["cr_ctc"], 1, [], ["train.batch_seconds=24.0"])
    assert (config.train.batch_seconds, config.loss.consistency_weight) == (12.0, 0.2)


def test_groups_stand_for_their_arms_each_with_the_baseline():
    names = [arm.name for arm in find_arms(["switches", "qk_norm"])]
    assert names == ["baseline", "qk_norm", *GROUPS["switches"][1:]]
    assert set(GROUPS["components"]) & set(GROUPS["switches"]) == {"baseline"}
    assert set(GROUPS["components"]) | set(GROUPS["switches"]) == set(ARMS)


def test_a_partner_is_run_before_and_the_baseline_first():
    order = list(ARMS)
    assert order[:2] == ["baseline", "all"]
    assert all(order.index(arm.against) <= order.index(arm.name) for arm in ARMS.values())
    assert [arm.name for arm in find_arms(["hybrid", "baseline", "givens"])] == ["baseline", "givens", "hybrid"]


@pytest.mark.parametrize("name", ARMS)
def test_all_arms_have_the_baselines_number_of_parameters(name):
    baseline = count_parameters(build_model(configure_arm(ARMS["baseline"], 1, [], SIZES), VOCAB_SIZE))
    config = configure_arm(ARMS[name], 3, [], SIZES)
    matched = match_parameters(config, baseline, VOCAB_SIZE)
    assert abs(count_parameters(build_model(matched, VOCAB_SIZE)) / baseline - 1) <= 0.01
    kept = {**settings_of(matched), "encoder.feedforward_width": config.encoder.feedforward_width}
    assert kept == settings_of(config)
    assert matched.train.seed == 3


def test_parameters_that_cannot_be_matched_are_refused():
    config = configure_arm(ARMS["parallel"], 1, [], SIZES)
    with pytest.raises(UserError, match="within 1 %"):
        match_parameters(config, 10_000, VOCAB_SIZE)


def test_an_override_that_would_have_no_effect_is_refused():
    with pytest.raises(UserError, match=r"--set encoder\.bias=dynamic: the ablation sets this field itself"):
        configure_arm(ARMS["hybrid"], 1, [], ["encoder.bias=dynamic"])
    with pytest.raises(UserError, match="choose --arms and --seeds"):
        configure_arm(ARMS["hybrid"], 1, [], ["train.seed=4"])


def test_an_arm_that_cannot_be_run_is_refused():
    for name in ("transformer", "givns"):
        with pytest.raises(UserError, match=f"no arm '{name}'.*baseline, all"):
            find_arms(["baseline", name])
    with pytest.raises(UserError, match="the arms are"):
        find_arms([])
