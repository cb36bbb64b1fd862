import pytest
import torch

from audioroto.model.decoder import Decoder
from audioroto.model.language_model import LanguageModel, Shape
from audioroto.search.speaker import Speaker
from audioroto.text.tokenizer import END_ID

VOCAB = 6


def make_inputs() -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    decoder = Decoder(VOCAB, width=16, num_blocks=2, num_heads=2, feedforward_width=32, dropout=0.1).eval()
    return decoder, torch.randn(2, 5, 16), torch.tensor([5, 3])


@pytest.mark.parametrize(("internal", "neural"), [(0.4, 0.0), (0.0, 0.7), (0.4, 0.7)])
def test_what_others_say_is_added_and_taken_off_step_by_step(internal, neural):
    decoder, frames, lengths = make_inputs()
    language_model = LanguageModel(VOCAB, Shape(16, 2, 2, 32)).eval()
    tokens = torch.tensor([[[END_ID, 3, 4], [END_ID, 5, 1]], [[END_ID, 5, 5], [END_ID, 1, 3]]])  # (B, N, U)
    heard = decoder(tokens, decoder.listen(frames, lengths))
    unheard = decoder(tokens, decoder.listen(torch.zeros(2, 1, 16), torch.tensor([1, 1])))
    expected = language_model(tokens.flatten(0, 1)).view_as(heard)
    at_once = heard - internal * unheard + neural * expected
    speaker = Speaker(decoder, internal, language_model, neural)
    memory = speaker.listen(frames, lengths)
    first, past = speaker.step(tokens[..., 0], memory)
    second, past = speaker.step(tokens[..., 1], memory, past)
    torch.testing.assert_close(torch.stack([first, second], dim=2), at_once[:, :, :2])
    kept, parents = torch.tensor([1]), torch.tensor([[1, 0]])
    third, _ = speaker.step(tokens[kept][:, [1, 0], 2], memory.select(kept), past.choose(parents, kept))
    torch.testing.assert_close(third, at_once[kept][:, [1, 0], 2])
