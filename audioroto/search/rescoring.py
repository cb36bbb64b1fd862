"""Rescoring: the attention decoder chooses among the hypotheses of a CTC search."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from audioroto.model.decoder import Decoder
from audioroto.search.hypothesis import Hypothesis


@torch.inference_mode()
def rescore(
    decoder: Decoder,
    frames: Tensor,
    lengths: Tensor,
    candidates: Sequence[Sequence[Hypothesis]],
    *,
    ctc_weight: float = 0.3,
    length_bonus: float = 0.0,
) -> list[list[Hypothesis]]:
    """The candidates of each utterance, best first by (1 − ctc_weight) · decoder + ctc_weight · their score so far.

    Takes encoder frames (B, T, D), T ≥ 1, lengths (B,) and the n-best lists of another search, whose scores become the
    weighted sum plus `length_bonus` for each token; times and all else stay as they were. One pass of the decoder. Of
    equal scores, the one that came first stays first.
    """
    num_candidates = max(map(len, candidates), default=0)
    if num_candidates == 0:
        return [[] for _ in candidates]
    filled = [[*(h.tokens for h in row), *[()] * (num_candidates - len(row))] for row in candidates]
    flat = [torch.tensor(tokens, dtype=torch.int64) for row in filled for tokens in row]
    token_lengths = torch.tensor([len(tokens) for tokens in flat]).view(-1, num_candidates).to(frames.device)
    tokens = pad_sequence(flat, batch_first=True).view(*token_lengths.shape, -1).to(frames.device)  # (B, N, U)
    decoded = decoder.score(frames, lengths, tokens, token_lengths).tolist()  # (B, N)
    rescored = [
        [
            replace(
                hypothesis,
                score=(1 - ctc_weight) * score + ctc_weight * hypothesis.score + length_bonus * len(hypothesis.tokens),
            )
            for hypothesis, score in zip(row, scores, strict=False)  # the rest fills the batch
        ]
        for row, scores in zip(candidates, decoded, strict=True)
    ]
    return [sorted(row, key=lambda hypothesis: -hypothesis.score) for row in rescored]
