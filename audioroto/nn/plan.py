"""What all attention layers of one forward share: who sees whom, at which angles, with which bias."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.bias import Bias, make_bias
from audioroto.nn.masks import valid_frames
from audioroto.nn.rotation import rotary_angles, rotary_angles_at, rotary_frequencies

Rotary = tuple[Tensor, Tensor]  # cosine and sine, as `apply_rotary` takes them

# Added to the score of a key that may not be seen. Finite, so that a query that may see nothing (in an utterance
# without frames) gets a useless mean and not 0/0; within the range of float16.
HIDDEN = -30000.0


@dataclass(frozen=True)
class Blocks:
    """Keys that stand for blocks of frames, G an utterance."""

    rows: Tensor  # (B·T,) int64, in which of the B·(G+1) rows each frame is summed; the last row of each is padding's
    weights: Tensor  # (B, G, 1) float32, 1 / number of valid frames in the block
    rotary: Rotary | None  # at the centres of the blocks, (B, G, K/2) or (H, B, G, K/2)
    bias: Tensor  # (H or 1, B, T or 1, G)
    seen: Tensor | None  # (B, T, 1) bool, False at a causal query that comes before the end of the first block


@dataclass(frozen=True)
class AttentionPlan:
    """The first `num_windowed` heads attend by windows, the others to all frames, or to `blocks` of them.

    A bias is added to scores: the relative bias where a query may attend, HIDDEN where it may not.
    """

    rotary: Rotary | None  # of every frame, (T, K/2) or (H, 1, T, K/2)
    num_windowed: int
    window_bias: Tensor | None  # (H or 1, B·N, W, 3W): N windows of W frames, with the window before and after it
    frame_bias: Tensor | None  # (H or 1, B, T or 1, T)
    blocks: Blocks | None
    distances: Tensor | None  # (2T−1, D), sinusoids of the distances T−1 … −(T−1), for `TransformerXlTerm`


class AttentionPlanner(nn.Module):
    """Makes the plan of a forward from the lengths of its utterances; owns the relative bias.

    `local_heads` of the `num_heads` see the band |i − j| ≤ `window_frames`. The others see everything through at most
    `global_keys` keys: all frames of an utterance that has no more than that, else means over blocks of
    ⌈length / global_keys⌉ frames, the length being that of the utterance, whatever its neighbours in the batch. With
    `causal` no query sees what comes after it, and of the blocks only those that have ended. (The length of its blocks
    still depends on the length of the utterance.)

    With `distance_width` D the plan carries sinusoids of all distances for the relative positions of Transformer-XL.
    Those need every pair of frames: all heads go dense then, local ones under a band, whatever the length.

    `min_stride` above 1 makes the blocks of training at least that long, so that global heads meet blocks in short
    utterances too.
    """

    # Windows in the longest utterance up to which one dense product under a band is cheaper than many small ones.
    DENSE_WINDOWS = 4

    def __init__(
        self,
        num_heads: int,
        *,
        local_heads: int,
        window_frames: int,
        global_keys: int,
        bias: Bias = "none",
        causal: bool = False,
        distance_width: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= local_heads <= num_heads:
            raise ValueError(f"local_heads must lie between 0 and the {num_heads} heads, got {local_heads}")
        if min(window_frames, global_keys) < 1:
            raise ValueError(f"window_frames and global_keys must be 1 or more, got {window_frames} and {global_keys}")
        self.num_heads = num_heads
        self.local_heads = local_heads
        self.window_frames = window_frames
        self.global_keys = global_keys
        self.causal = causal
        self.distance_width = distance_width
        self.min_stride = 1
        self.bias = make_bias(bias, num_heads)

    def forward(self, lengths: Tensor, num_frames: int, frequencies: Tensor | None) -> AttentionPlan:
        """The plan for utterances of `lengths` (B,) padded to `num_frames`.

        `frequencies`, (K/2,) or (H, K/2) radians a frame, are those of rotary positions; None is no rotary at all.
        """
        min_stride = self.min_stride if self.training else 1
        pooled = self.local_heads < self.num_heads and (num_frames > self.global_keys or min_stride > 1)
        windowed = self.local_heads > 0 and (pooled or num_frames > self.DENSE_WINDOWS * self.window_frames)
        if self.distance_width:
            pooled = windowed = False
        num_windowed = self.local_heads if windowed else 0
        dense = not pooled and num_windowed < self.num_heads
        if frequencies is not None and frequencies.ndim == 2:
            frequencies = frequencies.unsqueeze(1)  # (H, 1, K/2): angles of each head get a place for the batch
        return AttentionPlan(
            rotary=None if frequencies is None else rotary_angles(num_frames, frequencies),
            num_windowed=num_windowed,
            window_bias=self._window_bias(lengths, num_frames) if windowed else None,
            frame_bias=self._frame_bias(lengths, num_frames, num_windowed) if dense else None,
            blocks=self._blocks(lengths, num_frames, min_stride, frequencies) if pooled else None,
            distances=self._distances(num_frames, lengths.device) if self.distance_width else None,
        )

    def _window_bias(self, lengths: Tensor, num_frames: int) -> Tensor:
        """Of the local heads to their windows, (H or 1, B·N, W, 3W)."""
        window = self.window_frames
        places = torch.arange(3 * window, device=lengths.device)
        distances = places[:window, None] - (places - window)  # (W, 3W)
        valid = valid_frames(lengths, num_frames)
        valid = functional.pad(valid, (window, window + -num_frames % window))  # (B, W + NW + W)
        valid = valid.unfold(1, 3 * window, window).flatten(0, 1)  # (B·N, 3W)
        allowed = self._near(distances) & self._past(distances) & valid[:, None]  # (B·N, W, 3W)
        return _hide(self._relative(distances, slice(self.local_heads)), allowed)

    def _frame_bias(self, lengths: Tensor, num_frames: int, first_head: int) -> Tensor:
        """Of the heads from `first_head` on to all frames, (H or 1, B, T or 1, T)."""
        allowed = valid_frames(lengths, num_frames)[:, None]  # (B, 1, T)
        if not self.causal and self.bias is None and first_head == self.local_heads:
            return _hide(None, allowed)
        places = torch.arange(num_frames, device=lengths.device)
        distances = places[:, None] - places  # (T, T)
        is_global = torch.arange(first_head, self.num_heads, device=lengths.device) >= self.local_heads  # (H,)
        band = self._near(distances) | is_global[:, None, None]  # (H, T, T)
        allowed = allowed & (self._past(distances) & band)[:, None]  # (H, B, T, T)
        return _hide(self._relative(distances, slice(first_head, None)), allowed)

    def _blocks(self, lengths: Tensor, num_frames: int, min_stride: int, frequencies: Tensor | None) -> Blocks:
        num_blocks = min(self.global_keys, -(-num_frames // min_stride))
        places = torch.arange(num_frames, device=lengths.device)
        strides = (-(-lengths // self.global_keys)).clamp_min(min_stride)[:, None]  # (B, 1)
        starts = torch.arange(num_blocks, device=lengths.device) * strides  # (B, G)
        counts = (lengths[:, None] - starts).clamp_min(0).minimum(strides)  # (B, G), valid frames of each block
        first_rows = torch.arange(len(lengths), device=lengths.device)[:, None] * (num_blocks + 1)
        rows = first_rows + torch.where(places < lengths[:, None], places // strides, num_blocks)  # (B, T)
        doubled_centres = 2 * starts + counts - 1  # (B, G); centres lie on a frame or halfway between two
        allowed = (counts > 0)[:, None]  # (B, 1, G)
        seen = relative = rotary = None
        if self.causal:
            allowed = allowed & (places[:, None] >= (starts + strides - 1)[:, None])  # (B, T, G)
            seen = (places >= strides - 1).unsqueeze(-1)  # (B, T, 1)
        if self.bias is not None:
            doubled_distances = 2 * places[:, None] - doubled_centres[:, None]  # (B, T, G)
            farthest = 2 * num_frames
            halves = torch.arange(-farthest, farthest + 1, device=lengths.device)
            by_distance = self.bias(halves / 2)[self.local_heads :]  # (H, 4T + 1)
            relative = by_distance[:, (doubled_distances + farthest).clamp_min(0)]  # (H, B, T, G)
        if frequencies is not None:
            own = frequencies if frequencies.ndim == 1 else frequencies[self.local_heads :]
            rotary = rotary_angles_at(doubled_centres / 2, own)  # (B, G, K/2) or (H, B, G, K/2)
        weights = counts.clamp_min(1).reciprocal().unsqueeze(-1)  # (B, G, 1)
        return Blocks(rows.flatten(), weights, rotary, _hide(relative, allowed), seen)

    def _distances(self, num_frames: int, device: torch.device) -> Tensor:
        distances = torch.arange(num_frames - 1, -num_frames, -1, device=device)
        frequencies = rotary_frequencies(self.distance_width).to(device)
        return torch.cat(rotary_angles_at(distances, frequencies), dim=-1)  # (2T−1, D)

    def _near(self, distances: Tensor) -> Tensor:
        return distances.abs() <= self.window_frames

    def _past(self, distances: Tensor) -> Tensor:
        return distances >= 0 if self.causal else torch.ones_like(distances, dtype=torch.bool)

    def _relative(self, distances: Tensor, heads: slice) -> Tensor | None:
        """The bias of `heads` at distances (Q, S) that are the same along each diagonal, (H, 1, Q, S)."""
        if self.bias is None:
            return None
        diagonals = torch.cat((distances[1:, 0].flip(0), distances[0]))  # (Q+S−1,), falling
        by_diagonal = self.bias(diagonals.float())[heads]  # (H, Q+S−1)
        return skew(by_diagonal[:, None].expand(-1, len(distances), -1)).unsqueeze(1)  # (H, 1, Q, S)


def skew(by_diagonal: Tensor) -> Tensor:
    """Columns for diagonals (…, Q, Q+S−1) to columns for keys (…, Q, S): row q is read from column Q−1−q on.

    Copies and views only, so that its gradient is a copy too, where gathering would scatter.
    """
    num_queries, num_diagonals = by_diagonal.shape[-2:]
    flat = functional.pad(by_diagonal, (0, 1)).flatten(-2)  # (…, Q·(Q+S))
    shifted = flat[..., num_queries - 1 : flat.shape[-1] - 1].unflatten(-1, (num_queries, -1))  # (…, Q, Q+S−1)
    return shifted[..., : num_diagonals - num_queries + 1]


def _hide(relative: Tensor | None, allowed: Tensor) -> Tensor:
    """The relative bias where `allowed`, HIDDEN elsewhere; in the precision that attention computes in, heads first."""
    device = allowed.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.get_default_dtype()
    if relative is None:
        relative = torch.zeros(1, 1, 1, 1, dtype=dtype, device=allowed.device)
    return torch.where(allowed, relative.to(dtype), HIDDEN)
