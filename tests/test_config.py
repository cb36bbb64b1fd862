import re
from pathlib import Path

import pytest
import torch

from audioroto.config import Config, iter_settings, load_config, save_config
from audioroto.errors import UserError
from audioroto.model.asr import build_model, count_parameters


def test_later_files_and_overrides_win(tmp_path):
    (tmp_path / "a.toml").write_text("[train]\nseed = 2\nmax_updates = 7\n")
    (tmp_path / "b.toml").write_text("\ufeff[train]\nseed = 3\n")  # with the byte order mark of Windows editors
    config = load_config([tmp_path / "a.toml", tmp_path / "b.toml"], ["train.batch_seconds=9", "text.units=char"])
    assert (config.train.seed, config.train.max_updates) == (3, 7)
    assert (config.train.batch_seconds, config.text.units) == (9.0, "char")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.sead=3", "nearest is train.seed"),
        ("trian.seed=3", "unknown key trian; the nearest is train"),
        ("train.seed", "section.key=value"),
        ("encoder.kernel_size=4", "try 5"),
        ("encoder.width=250", "try width = 256"),
        ("text.units=syllables", "text.units"),
        ("train.max_updates=0", "train.max_updates"),
        ("loss.ctc_weight=1.0", "loss.ctc_weight"),
    ],
)
def test_what_is_wrong_is_refused_with_the_next_step(override, message):
    with pytest.raises(UserError, match=message):
        load_config([], [override])


def test_settings_that_belong_together_may_come_one_by_one():
    config = load_config([], ["encoder.num_heads=3", "encoder.width=192"])
    assert config.encoder.width == 192


def test_the_decoder_has_to_fit_the_encoder():
    load_config([], ["decoder.num_heads=3"])  # there is none
    with pytest.raises(UserError, match=r": encoder\.width 256 must be .* try decoder\.num_heads = 4$"):
        load_config([], ["decoder.num_heads=3", "decoder.num_blocks=2"])


def test_an_unknown_key_names_its_file(tmp_path):
    (tmp_path / "bad.toml").write_text("[encoder]\nwitdh = 4\n")
    with pytest.raises(UserError, match=r"bad\.toml: unknown key encoder\.witdh; the nearest is encoder\.width"):
        load_config([tmp_path / "bad.toml"])


@pytest.mark.parametrize("content", ["[train\n", "\xff"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "broken.toml"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"broken\.toml"):
        load_config([path])
    with pytest.raises(UserError, match="does not exist"):
        load_config([tmp_path / "absent.toml"])


def test_the_resolved_configuration_reads_back_equal(tmp_path):
    config = load_config([], ["train.seed=5", "augment.speeds=[1.0]"])
    save_config(config, tmp_path / "config.toml")
    assert load_config([tmp_path / "config.toml"]) == config


def test_every_setting_says_what_it_means():
    assert all(meaning for _, _, meaning in iter_settings(Config()))


SHIPPED = [
    *Path(__file__).parents[1].glob("recipes/conf/*.toml"),
    *Path(__file__).parents[1].glob("egs/*/*/conf/*.toml"),
]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_is_valid(path):
    load_config([path])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["encoder.local_heads=9"], "at most num_heads"),
        (["position.kind=none", "position.mode=loss"], "needs kind"),
        (["position.mode=loss", "position.base=5.0"], "between min_base"),
        (["position.kind=none", "position.spacing=endpoint"], "those of kind"),
        (["position.kind=transformer_xl", "position.base=100.0"], "those of kind"),
        (["rotation.share=heads"], "needs planes or orthogonal"),
        (["encoder.coupling=convolution", "encoder.bias=dynamic"], "has no attention; leave out encoder.bias"),
        (["encoder.coupling=convolution", "rotation.planes=butterfly", "encoder.qk_norm=true"], "qk_norm, rotation"),
        (["encoder.pooled_share=0.5", "encoder.local_heads=4"], "of global heads"),
        (["loss.intermediate_blocks=[2]"], "needs intermediate_weight"),
        (["train.min_utterance_seconds=40"], "at most max_utterance_seconds"),
        (["augment.speeds=[0.0]"], "greater than 0"),
        (["train.clip_norm=inf"], "finite"),
        (["search.word_bonus=nan"], "finite"),
        (["rotation.values=true"], "needs planes or orthogonal"),
        (["rotation.rounds=2"], "needs planes"),
        (["rotation.planes=butterfly", "rotation.rounds=9"], "at most 6"),
        (["rotation.planes=butterfly", "encoder.width=192"], "power of two"),
    ],
)
def test_contradictions_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        load_config([], overrides)


def test_bounds_of_the_base_are_those_of_a_base_that_answers_to_the_loss():
    assert load_config([], ["position.base=5.0"]).position.base == 5.0


@pytest.mark.parametrize("name", ["tiny", "small", "base", "large"])
def test_a_named_configuration_makes_a_model_of_the_size_it_states(name):
    path = Path(__file__).parents[1] / "recipes" / "conf" / f"{name}.toml"
    stated = re.match(r"# ([\d.]+) M parameters", path.read_text(encoding="utf-8"))
    config = load_config([path])
    with torch.device("meta"):
        number = count_parameters(build_model(config, config.text.vocab_size)) / 1e6
    assert number == pytest.approx(float(stated[1]), rel=0.03)
    parts = config.train.batch_seconds / (config.train.micro_batch_seconds or config.train.batch_seconds)
    assert parts == round(parts), "an update is whole parts, which processes can share out"
    assert (
        config.train.micro_batch_seconds == 0 or config.train.micro_batch_seconds >= config.train.max_utterance_seconds
    )
