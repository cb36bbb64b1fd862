"""Joint search: the attention beam, with CTC having its say about every prefix."""

from torch import Tensor

from audioroto.model.decoder import Decoder
from audioroto.search.attention_beam import run_beam
from audioroto.search.fusion import WordFusion
from audioroto.search.hypothesis import Hypothesis
from audioroto.search.prefix_score import PrefixScorer
from audioroto.search.speaker import Speaker


def joint_beam(
    decoder: Decoder | Speaker,
    frames: Tensor,
    lengths: Tensor,
    log_probs: Tensor,
    *,
    beam_size: int = 8,
    ctc_weight: float = 0.3,
    length_bonus: float = 0.0,
    fusion: WordFusion | None = None,
) -> list[list[Hypothesis]]:
    """The best hypotheses by decoder and CTC together (arXiv 1706.02737), best first, for a batch of utterances.

    Takes encoder frames (B, T, D), T ≥ 1, lengths (B,) and CTC log-probabilities (B, T, V). The score is
    (1 − ctc_weight) · log P by the decoder + ctc_weight · log P by CTC + length_bonus · tokens, 0 ≤ ctc_weight ≤ 1, and
    what the n-gram of `fusion` makes of the words; a `Speaker` in the decoder's place brings in other language models.
    CTC is asked about every token of the vocabulary, exactly. Times are left empty. The decoder must be in evaluation
    mode.
    """
    scorer = PrefixScorer(log_probs, lengths) if ctc_weight else None
    return run_beam(decoder, frames, lengths, beam_size, length_bonus, scorer, ctc_weight, fusion)
