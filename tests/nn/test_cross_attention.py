import torch

from audioroto.nn.cross_attention import CrossAttention, KeysValues


def test_it_is_softmax_attention_over_what_is_allowed():
    torch.manual_seed(0)
    offer, attention = KeysValues(8, 2), CrossAttention(8, 2)
    frames, tokens = torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    allowed = torch.rand(3, 1, 4, 5) < 0.6
    allowed[..., 0] = True
    keys, values = offer(frames)
    found = attention(tokens, keys, values, allowed)
    wanted = []
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        queries = (tokens @ attention.project_in.weight.T)[..., part]
        key_part = (frames @ offer.project.weight[:8].T)[..., part]
        value_part = (frames @ offer.project.weight[8:].T)[..., part]
        scores = (queries @ key_part.transpose(1, 2) / 2).masked_fill(~allowed[:, 0], -torch.inf)
        wanted.append(scores.softmax(-1) @ value_part)
    torch.testing.assert_close(found, torch.cat(wanted, -1) @ attention.project_out.weight.T)
