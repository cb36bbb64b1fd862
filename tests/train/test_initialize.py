import pytest
from rich.console import Console

from audioroto.config import Config, Rotation
from audioroto.errors import UserError
from audioroto.text.tokenizer import train_tokenizer
from audioroto.train.initialize import choose_seed, choose_tokenizer, load_origin
from audioroto.train.trainer import Trainer


@pytest.fixture
def origin(trained):
    return load_origin(trained / "model.safetensors")


def change(config: Config, **settings: object) -> Config:
    return config.model_copy(update={"encoder": config.encoder.model_copy(update=settings)})


def test_a_model_begins_its_own_chain(origin):
    (link,) = origin.chain
    assert link["model"] == "model.safetensors"
    assert len(link["sha256"]) == 64
    assert link["step"] == origin.checkpoint.step > 0


def test_another_architecture_is_refused_with_the_settings_to_give(origin, tiny_config):
    tokenizer = origin.checkpoint.tokenizer
    origin.refuse_unless_fit(change(tiny_config, dropout=0.3, local_heads=1, window_frames=9), tokenizer)
    with pytest.raises(
        UserError, match=r"encoder\.width was 32, is 64; .*--set encoder\.width=32 --set encoder\.kernel_size=5"
    ):
        origin.refuse_unless_fit(change(tiny_config, width=64, kernel_size=7), tokenizer)
    turned = tiny_config.model_copy(update={"rotation": Rotation(planes="butterfly")})
    with pytest.raises(UserError, match=r"--set rotation\.planes=none"):
        origin.refuse_unless_fit(turned, tokenizer)


def test_another_tokenizer_is_refused(origin, tiny_config):
    with pytest.raises(UserError, match="leave --tokenizer out"):
        origin.refuse_unless_fit(tiny_config, train_tokenizer(["OTHER WORDS"], "char", 40))


def test_the_tokenizer_comes_from_the_file_or_else_from_the_model(origin, trained):
    assert choose_tokenizer(trained / "tokenizer.model", None).model == origin.checkpoint.tokenizer.model
    assert choose_tokenizer(None, origin) is origin.checkpoint.tokenizer
    with pytest.raises(UserError, match="give --tokenizer, or --init-from"):
        choose_tokenizer(None, None)


def test_a_run_that_began_otherwise_is_not_gone_on_with(origin, tmp_path):
    origin.refuse_unless_begun_from(origin.chain, tmp_path)
    with pytest.raises(UserError, match="began from fresh weights"):
        origin.refuse_unless_begun_from([], tmp_path)


def test_a_run_that_begins_from_a_model_draws_otherwise_than_the_model_did(origin):
    """And otherwise than one that begins from another model; with other seeds, otherwise again."""
    longer = [*origin.chain, {"model": "b.safetensors", "sha256": "0" * 64, "step": 5}]
    assert choose_seed(1, []) == 1
    seeds = {choose_seed(seed, chain) for seed in (1, 2) for chain in ([], origin.chain, longer)}
    assert len(seeds) == 6
    assert choose_seed(1, longer) == choose_seed(1, longer[1:]), "it is the model that counts, not how it was made"


def test_a_model_that_is_trained_further_does_not_hear_the_same_again(tiny_config, tone_corpus, trained, tmp_path):
    """Nor does the run draw otherwise when it goes on, with its origin named again or not."""

    def begin(exp_dir: str, init_from: object) -> Trainer:
        paths = (tone_corpus / "train", tone_corpus / "valid", trained / "tokenizer.model", tmp_path / exp_dir)
        trainer = Trainer(tiny_config, *paths, device="cpu", init_from=init_from, console=Console(quiet=True))
        trainer.resume(restart=False)
        return trainer

    model = trained / "model.safetensors"
    fresh, further = begin("fresh", None), begin("further", model)
    seeds = [next(trainer.iter_updates())[1][0].seeds for trainer in (fresh, further)]
    assert not set(seeds[0]) & set(seeds[1])
    further.save()
    for init_from in (model, None):
        assert next(begin("further", init_from).iter_updates())[1][0].seeds == seeds[1]
