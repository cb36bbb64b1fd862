import torch

from audioroto.model.decoder import Decoder
from audioroto.search.internal_lm import WithoutInternalLm
from audioroto.text.tokenizer import END_ID

VOCAB = 6


def make_inputs() -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    decoder = Decoder(VOCAB, width=16, num_blocks=2, num_heads=2, feedforward_width=32, dropout=0.1).eval()
    return decoder, torch.randn(2, 5, 16), torch.tensor([5, 3])


def test_what_it_would_say_unheard_is_taken_off_step_by_step():
    decoder, frames, lengths = make_inputs()
    tokens = torch.tensor([[[END_ID, 3, 4], [END_ID, 5, 1]], [[END_ID, 5, 5], [END_ID, 1, 3]]])  # (B, N, U)
    heard = decoder(tokens, decoder.listen(frames, lengths))
    unheard = decoder(tokens, decoder.listen(torch.zeros(2, 1, 16), torch.tensor([1, 1])))
    at_once = heard - 0.4 * unheard
    corrected = WithoutInternalLm(decoder, 0.4)
    memory = corrected.listen(frames, lengths)
    first, past = corrected.step(tokens[..., 0], memory)
    second, past = corrected.step(tokens[..., 1], memory, past)
    torch.testing.assert_close(torch.stack([first, second], dim=2), at_once[:, :, :2])
    kept, parents = torch.tensor([1]), torch.tensor([[1, 0]])
    third, _ = corrected.step(tokens[kept][:, [1, 0], 2], memory.select(kept), past.choose(parents, kept))
    torch.testing.assert_close(third, at_once[kept][:, [1, 0], 2])
