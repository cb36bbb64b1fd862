import torch
from typer.testing import CliRunner

from audioroto.cli.main import app
from audioroto.config import Search
from audioroto.infer.recognizer import load_model
from audioroto.model.language_model import load_language_model
from audioroto.text.tokenizer import Tokenizer


def test_a_neural_language_model_from_text_to_search(trained, tmp_path):
    (tmp_path / "text.txt").write_text("LOW MID HIGH. HIGH LOW.\nMID\n" * 20)
    arguments = ["train-lm", "--text", tmp_path / "text.txt", "--tokenizer", trained / "model.safetensors"]
    arguments += ["--max-updates", 3]
    arguments += ["--valid-text", tmp_path / "text.txt", "--exp-dir", tmp_path / "exp", "--batch-tokens", 64]
    sizes = ["--width", 16, "--num-heads", 2, "--num-blocks", 1, "--feedforward-width", 32]
    done = CliRunner().invoke(app, list(map(str, [*arguments, *sizes])))
    assert done.exit_code == 0, done.output
    assert (tmp_path / "exp" / "lm.safetensors").is_file()
    again = CliRunner().invoke(app, list(map(str, [*arguments, *sizes])))
    assert "resumed at update 3 of 3" in again.output
    other = [*arguments, "--tokenizer", trained / "tokenizer.model", "--exp-dir", tmp_path / "other"]
    assert CliRunner().invoke(app, list(map(str, [*other, *sizes]))).exit_code == 0
    own, same = (
        load_language_model(tmp_path / name / "lm.safetensors", Tokenizer.load(trained / "tokenizer.model"))
        for name in ("exp", "other")
    )
    assert all(torch.equal(own.state_dict()[name], tensor) for name, tensor in same.state_dict().items())
    search = Search(mode="joint", neural_lm=str(tmp_path / "exp" / "lm.safetensors"))
    assert load_model(trained / "model.safetensors", search=search).language_model is None, "it has no decoder to speak"
    refused = CliRunner().invoke(app, list(map(str, [*arguments, "--width", 18, "--num-heads", 2])))
    assert "multiple of twice --num-heads, 4" in str(refused.exception)
    (tmp_path / "empty.txt").write_text("…\n")
    refused = CliRunner().invoke(app, list(map(str, [*arguments, "--valid-text", tmp_path / "empty.txt"])))
    assert "has no words" in str(refused.exception)
