"""SpecAugment: hide bands of frequencies and stretches of time, so that the model does not lean on any one of them."""

import numpy as np
import torch
from torch import Tensor

from audioroto.nn.masks import valid_frames


def spec_augment(
    features: Tensor,
    frame_lengths: Tensor,
    seeds: list[int],
    *,
    num_frequency_masks: int,
    frequency_mask_bins: int,
    num_time_masks: list[int],
    time_mask_share: float,
) -> Tensor:
    """Features (B, T, F) with random bands and stretches set to 0, the mean of normalised features; (B, T, F).

    Each utterance has `num_frequency_masks` bands of 0 to `frequency_mask_bins` bins, and its own number
    `num_time_masks` of stretches of 0 to `time_mask_share` of its frames. All are drawn from its own seed (≥ 0) alone,
    so that its company in the batch changes nothing. Padding stays as it was.
    Park and others, arXiv 1904.08779; time masks in proportion to the utterance from arXiv 1912.05533.
    """
    batch_size, num_frames, num_bins = features.shape
    lengths = frame_lengths.tolist()
    hidden_frames = np.zeros((batch_size, num_frames), dtype=bool)
    hidden_bins = np.zeros((batch_size, num_bins), dtype=bool)
    for row, (seed, length, num_stretches) in enumerate(zip(seeds, lengths, num_time_masks, strict=True)):
        random = np.random.default_rng(seed)
        widest_band = min(frequency_mask_bins, num_bins)
        for start, end in _draw_spans(random, num_frequency_masks, widest_band, num_bins):
            hidden_bins[row, start:end] = True
        for start, end in _draw_spans(random, num_stretches, int(time_mask_share * length), length):
            hidden_frames[row, start:end] = True
    frames = torch.from_numpy(hidden_frames).to(features.device)  # (B, T)
    bins = torch.from_numpy(hidden_bins).to(features.device)  # (B, F)
    hidden = frames[:, :, None] | (bins[:, None, :] & valid_frames(frame_lengths, num_frames)[:, :, None])  # (B, T, F)
    return features.masked_fill(hidden, 0.0)


def _draw_spans(random: np.random.Generator, num_spans: int, widest: int, size: int) -> np.ndarray:
    """Spans [start, end) within `size`, each of a width drawn from 0 to `widest` and a place drawn from all: (N, 2)."""
    widths = random.integers(0, widest, num_spans, endpoint=True)
    starts = random.integers(0, size - widths, num_spans, endpoint=True)
    return np.stack([starts, starts + widths], axis=1)
