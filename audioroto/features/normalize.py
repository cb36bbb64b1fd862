"""Features with mean 0 and deviation 1 over the training set: never over an utterance or a batch.

What an utterance is divided by then does not depend on its length or company, and a stream can be normalised.
"""

import torch
from torch import Tensor, nn

from audioroto.errors import UserError
from audioroto.nn.masks import valid_frames

# Log-mel bins of speech deviate by 2 to 4. A bin that was silent in all of training (band-limited recordings) must not
# turn a little energy there into the largest number of all.
MIN_STD = 0.1


class FrameStatistics:
    """Mean and deviation of every feature bin over the frames of many batches, summed in float64."""

    def __init__(self, num_mels: int) -> None:
        self.num_frames = 0
        self._sum = torch.zeros(num_mels, dtype=torch.float64)
        self._sum_of_squares = torch.zeros(num_mels, dtype=torch.float64)

    def accumulate(self, features: Tensor, frame_lengths: Tensor) -> None:
        """Count in the real frames of features (B, T, F) with frame_lengths (B,)."""
        valid = valid_frames(frame_lengths, features.shape[1])
        frames = features.detach()[valid].double()  # (real frames, F)
        self.num_frames += len(frames)
        self._sum += frames.sum(dim=0).cpu()
        self._sum_of_squares += frames.square().sum(dim=0).cpu()

    @property
    def mean(self) -> Tensor:
        """Mean of each bin, (F,) float64. Raises UserError when no frame was counted."""
        self._refuse_nothing()
        return self._sum / self.num_frames

    @property
    def std(self) -> Tensor:
        """Deviation of each bin, at least MIN_STD, (F,) float64. Raises UserError when no frame was counted."""
        variance = self._sum_of_squares / max(self.num_frames, 1) - self.mean.square()
        return variance.clamp_min(MIN_STD**2).sqrt()

    def _refuse_nothing(self) -> None:
        if not self.num_frames:
            raise UserError(
                "normalisation: no frame of audio to take statistics from; give a training set with utterances longer "
                "than 25 ms"
            )


class GlobalNormalization(nn.Module):
    """(features - mean) · inverse_std with the training set's statistics, which a checkpoint carries as buffers."""

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_mels))
        self.register_buffer("inverse_std", torch.ones(num_mels))

    def set_statistics(self, statistics: FrameStatistics) -> None:
        """Take over the mean and deviation of a training set. Raises UserError when it had no frame."""
        self.mean.copy_(statistics.mean)
        self.inverse_std.copy_(1.0 / statistics.std)

    def forward(self, features: Tensor, frame_lengths: Tensor) -> Tensor:
        """Features (B, T, F) normalised, (B, T, F); zero, the mean, at padding."""
        valid = valid_frames(frame_lengths, features.shape[1])
        return ((features - self.mean) * self.inverse_std).masked_fill(~valid[:, :, None], 0.0)
