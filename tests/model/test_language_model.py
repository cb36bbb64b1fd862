import pytest
import torch

from audioroto.errors import UserError
from audioroto.model.language_model import LanguageModel, Shape, load_language_model, save_language_model
from audioroto.text.tokenizer import END_ID, train_tokenizer

TOKENIZER = train_tokenizer(["AB A", "B AB", "BAB"], "char", 10)
SHAPE = Shape(width=16, num_blocks=2, num_heads=2, feedforward_width=32)


def make_model(vocab_size: int = TOKENIZER.vocab_size) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(vocab_size, SHAPE).eval()


def test_step_by_step_equals_all_at_once_whoever_goes_on_from_whom():
    model = make_model(9)
    rows = torch.tensor([[[END_ID, 3, 4, 8], [END_ID, 3, 6, 7]], [[END_ID, 5, 5, 1], [END_ID, 5, 2, 2]]])  # (B, N, U)
    at_once = model(rows.flatten(0, 1)).view(2, 2, 4, 9)
    past, found = None, []
    for place in range(4):
        log_probs, past = model.step(rows[..., place], past)
        found.append(log_probs)
        past = past.choose(torch.tensor([[0, 1], [0, 1]]))
    torch.testing.assert_close(torch.stack(found, dim=2), at_once)
    _, past = model.step(rows[..., 0])
    _, past = model.step(rows[..., 1], past)
    swapped, _ = model.step(rows[:, [1, 0], 2], past.choose(torch.tensor([[1, 0], [1, 0]])))
    torch.testing.assert_close(swapped, at_once[:, [1, 0], 2])


def test_no_token_sees_a_later_one():
    model = make_model(9)
    first, second = model(torch.tensor([[2, 3, 4, 5]])), model(torch.tensor([[2, 3, 8, 1]]))
    torch.testing.assert_close(first[:, :2], second[:, :2])
    assert not torch.allclose(first[:, 2:], second[:, 2:])


def test_the_score_is_that_of_the_tokens_and_of_the_end_whatever_the_padding():
    model = make_model(9)
    log_probs = model(torch.tensor([[END_ID, 3, 4]]))[0]
    expected = log_probs[0, 3] + log_probs[1, 4] + log_probs[2, END_ID]
    tokens = torch.tensor([[3, 4, 7, 7], [5, 6, 7, 8]])
    torch.testing.assert_close(model.score(tokens, torch.tensor([2, 4]))[0], expected)


def test_all_texts_of_a_length_or_less_are_less_than_certain():
    model = make_model(4)
    texts = [[], *([a] for a in range(4) if a != END_ID), *([a, b] for a in range(4) for b in range(4))]
    texts = [text for text in texts if END_ID not in text]
    tokens = torch.tensor([text + [0] * (2 - len(text)) for text in texts])
    total = model.score(tokens, torch.tensor(list(map(len, texts)))).exp().sum().item()
    assert 0 < total < 1


@pytest.mark.parametrize(("half", "tolerance"), [(False, 0.0), (True, 0.02)])
def test_a_model_comes_back_from_its_file(tmp_path, half, tolerance):
    model = make_model()
    save_language_model(tmp_path / "lm.safetensors", model, TOKENIZER, {"updates": 3}, half=half)
    found = load_language_model(tmp_path / "lm.safetensors", TOKENIZER)
    tokens = torch.tensor([[END_ID, 3, 4]])
    torch.testing.assert_close(found(tokens), model(tokens), rtol=tolerance, atol=tolerance)
    assert found.path == tmp_path / "lm.safetensors"
    assert not found.training


def test_a_file_that_is_none_or_of_other_tokens_is_refused(tmp_path):
    path = tmp_path / "lm.safetensors"
    with pytest.raises(UserError, match="cannot be read"):
        load_language_model(path, TOKENIZER)
    save_language_model(path, make_model(), TOKENIZER, {})
    with pytest.raises(UserError, match="other tokens"):
        load_language_model(path, train_tokenizer(["CD C"], "char", 10))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="cannot be read"):
        load_language_model(path, TOKENIZER)


def test_a_recogniser_is_no_language_model(trained):
    with pytest.raises(UserError, match="no neural language model"):
        load_language_model(trained / "model.safetensors", TOKENIZER)
