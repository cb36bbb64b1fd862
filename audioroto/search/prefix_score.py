"""How likely CTC finds it that an utterance begins with some tokens: the CTC half of joint search."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from audioroto.model.ctc import BLANK
from audioroto.nn.masks import valid_frames
from audioroto.text.tokenizer import END_ID


@dataclass(frozen=True)
class Prefixes:
    """Log-probabilities (B, N, T + 1), float64, that the first t frames say a prefix and nothing more."""

    in_token: Tensor  # the last of the t frames says the last token
    in_blank: Tensor  # it says the blank; also t = 0 of the empty prefix
    last: Tensor  # (B, N) last token of each prefix; BLANK when it is empty


class PrefixScorer:
    """CTC prefix probabilities of N hypotheses and all tokens after them at once (arXiv 1706.02737, algorithm 2).

    Without a loop over frames: the probability of a prefix is one product of matrices, and the recursion over time,
    linear in probabilities, is a cumulative sum of logarithms. Exact in float64.
    """

    def __init__(self, log_probs: Tensor, lengths: Tensor) -> None:
        """`log_probs` (B, T, V) with T ≥ 1, `lengths` (B,); what stands in the padding is not looked at."""
        valid = valid_frames(lengths, log_probs.shape[1])[..., None]  # (B, T, 1)
        self.lengths = lengths
        self.valid = valid[:, None, :, 0]  # (B, 1, T)
        self.log_probs = log_probs.double().masked_fill(~valid, 0.0).transpose(1, 2).contiguous()  # (B, V, T)
        self.probabilities = self.log_probs.exp().transpose(1, 2) * valid  # (B, T, V)

    def select(self, utterances: Tensor) -> "PrefixScorer":
        """The scorer of `utterances` (B',) alone."""
        return PrefixScorer(self.log_probs[utterances].transpose(1, 2), self.lengths[utterances])

    def start(self, num_hypotheses: int) -> Prefixes:
        """Empty prefixes, `num_hypotheses` for each utterance."""
        in_blank = functional.pad(self.log_probs[:, BLANK].cumsum(dim=-1), (1, 0))  # (B, T + 1)
        in_blank = in_blank[:, None].repeat(1, num_hypotheses, 1)  # (B, N, T + 1)
        last = torch.full(in_blank.shape[:2], BLANK, device=in_blank.device)
        return Prefixes(torch.full_like(in_blank, -torch.inf), in_blank, last)

    def score(self, prefixes: Prefixes) -> Tensor:
        """Log-probability (B, N, V) that the utterance begins with each prefix and each token after it.

        At END_ID: that the prefix is all it says. At BLANK: −inf, it is no token.
        """
        said = torch.logaddexp(prefixes.in_token, prefixes.in_blank)  # (B, N, T + 1)
        before = said[..., :-1].where(self.valid, -torch.inf)  # (B, N, T)
        peak = before.amax(dim=-1, keepdim=True).clamp(min=-1e30)  # finite where a prefix is impossible
        begins = ((before - peak).exp() @ self.probabilities).log() + peak  # (B, N, V)
        # A token that repeats the last one is a new one only after a blank.
        utterances = torch.arange(len(begins), device=begins.device)[:, None]
        again = prefixes.in_blank[..., :-1] + self.log_probs[utterances, prefixes.last]  # (B, N, T)
        again = again.where(self.valid, -torch.inf).logsumexp(dim=-1, keepdim=True)  # (B, N, 1)
        begins = begins.scatter(-1, prefixes.last[..., None], again)
        begins[..., BLANK] = -torch.inf
        begins[..., END_ID] = said.gather(-1, self.lengths[:, None, None].expand(*said.shape[:2], 1))[..., 0]
        return begins

    def extend(self, prefixes: Prefixes, parents: Tensor, tokens: Tensor) -> Prefixes:
        """The prefixes of hypotheses `parents` (B, N), each with its token of `tokens` (B, N) after it."""
        utterances = torch.arange(len(parents), device=parents.device)[:, None]
        in_token, in_blank = prefixes.in_token[utterances, parents], prefixes.in_blank[utterances, parents]
        repeats = (tokens == prefixes.last[utterances, parents])[..., None]
        before = torch.where(repeats, in_blank, torch.logaddexp(in_token, in_blank))[..., :-1]  # (B, N, T)
        in_token = _follow(before, self.log_probs[utterances, tokens])
        in_blank = _follow(in_token[..., :-1], self.log_probs[:, None, BLANK])
        return Prefixes(in_token, in_blank, tokens)


def _follow(enter: Tensor, stay: Tensor) -> Tensor:
    """y (…, T + 1) of y[t + 1] = stay[t] + logaddexp(y[t], enter[t]), y[0] = −inf, for `enter` and `stay` (…, T)."""
    total = stay.cumsum(dim=-1)
    followed = total + torch.logcumsumexp(enter - (total - stay), dim=-1)
    return functional.pad(followed, (1, 0), value=-torch.inf)
