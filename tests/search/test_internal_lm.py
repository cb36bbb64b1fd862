import torch

from audioroto.model.decoder import Decoder, choose_hypotheses
from audioroto.search.internal_lm import WithoutInternalLm
from audioroto.text.tokenizer import END_ID

VOCAB = 6


def make_inputs() -> tuple[Decoder, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    decoder = Decoder(VOCAB, width=16, num_blocks=2, num_heads=2, feedforward_width=32, dropout=0.1).eval()
    return decoder, torch.randn(2, 5, 16), torch.tensor([5, 3])


def test_what_it_would_say_unheard_is_taken_off():
    decoder, frames, lengths = make_inputs()
    tokens = torch.tensor([[[END_ID, 3, 4]], [[END_ID, 5, 5]]])  # (B, N, U)
    heard, _ = decoder(tokens, decoder.listen(frames, lengths))
    unheard, _ = decoder(tokens, decoder.listen(torch.zeros(2, 1, 16), torch.tensor([1, 1])))
    corrected = WithoutInternalLm(decoder, 0.4)
    scores, _ = corrected(tokens, corrected.listen(frames, lengths))
    torch.testing.assert_close(scores, heard - 0.4 * unheard)


def test_step_by_step_is_all_at_once_with_hypotheses_and_utterances_chosen_on_the_way():
    decoder, frames, lengths = make_inputs()
    tokens = torch.tensor([[[END_ID, 3, 4], [END_ID, 5, 1]], [[END_ID, 5, 5], [END_ID, 1, 3]]])  # (B, N, U)
    corrected = WithoutInternalLm(decoder, 0.4)
    memory = corrected.listen(frames, lengths)
    at_once, _ = corrected(tokens, memory)
    _, past = corrected(tokens[..., :2], memory)
    kept, parents = torch.tensor([1]), torch.tensor([[1, 0]])
    step, _ = corrected(tokens[kept][:, [1, 0], 2:], memory.select(kept), choose_hypotheses(past, parents, kept))
    torch.testing.assert_close(step[:, :, 0], at_once[kept][:, [1, 0], 2])
