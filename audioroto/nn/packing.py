"""The real frames of a batch side by side in one row, so that nothing is computed at padding."""

import torch
from torch import Tensor


class Packing:
    """Where the N real frames of utterances of `lengths` (B,) lie: in a row (N, …), and padded to (B, T, …).

    Layers that look at one frame at a time work on the row; those that look sideways lay it out as they need it.
    """

    def __init__(self, lengths: Tensor, num_frames: int) -> None:
        self.lengths = lengths
        self.num_frames = num_frames
        batch = torch.arange(len(lengths), device=lengths.device)
        self.utterances = batch.repeat_interleave(lengths)  # (N,) int64, whose frame it is
        firsts = lengths.cumsum(0) - lengths  # (B,)
        ranks = torch.arange(len(self.utterances), device=lengths.device)
        self.offsets = ranks - firsts[self.utterances]  # (N,) int64, which of its utterance's frames
        self._nothing_to_do = len(self.utterances) == len(lengths) * num_frames

    def pack(self, padded: Tensor) -> Tensor:
        """Padded (B, T, …) → the real frames (N, …)."""
        rows = padded.flatten(0, 1)
        return rows if self._nothing_to_do else rows.index_select(0, self._places())

    def unpack(self, frames: Tensor) -> Tensor:
        """Frames (N, …) → (B, T, …), zero at padding."""
        num_rows = len(self.lengths) * self.num_frames
        rows = frames if self._nothing_to_do else scatter_rows(frames, self._places(), num_rows)
        return rows.unflatten(0, (len(self.lengths), self.num_frames))

    def spread(self, values: Tensor) -> Tensor:
        """A value of each utterance, (B, …), to all its frames, (N, …)."""
        return values.index_select(0, self.utterances)

    def places_with_gaps(self, gap: int) -> tuple[Tensor, int]:
        """Places (N,) in a row that has `gap` empty ones between utterances, and how long that row is (at least 1)."""
        places = torch.arange(len(self.utterances), device=self.utterances.device) + gap * self.utterances
        return places, max(1, len(places) + gap * (len(self.lengths) - 1))

    def _places(self) -> Tensor:
        return self.utterances * self.num_frames + self.offsets  # (N,)


def scatter_rows(rows: Tensor, places: Tensor, num_rows: int) -> Tensor:
    """Rows (N, …) put at `places` (N,), all different, among `num_rows` of zeros."""
    # On a CPU adding to zeros is three times as fast as copying, and its gradient is a selection.
    return rows.new_zeros(num_rows, *rows.shape[1:]).index_add_(0, places, rows)
