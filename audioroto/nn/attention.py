"""Self-attention over frames: some heads see what is near, the others everything."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlan, Blocks, skew
from audioroto.nn.rotation import apply_rotary

EPSILON = 1e-6  # a query or key of zeros stays zero
MOST_SCORES_TO_SPLIT = 0.8  # real ones among a batch's scores, up to which a product for each utterance is worth it


class HybridAttention(nn.Module):
    """Multi-head self-attention; the plan of the forward says which heads are local and which are global.

    In this order: project, normalise queries and keys (`qk_norm`: root mean square of each head, with a learned gain a
    channel), turn them by the combined rotation, average the keys and values of global heads over blocks if the
    utterance is long, turn queries and keys by their rotary angles (a block's by that of its centre), attend. Keys are
    averaged before rotary, because a mean of rotated keys cancels its fast pairs of channels. The outputs of all heads
    meet in one projection.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        qk_norm: bool = False,
        rotate_values: bool = False,
        transformer_xl: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.rotate_values = rotate_values
        self.project_in = nn.Linear(width, 3 * width, bias=False)
        self.project_out = nn.Linear(width, width, bias=False)
        self.gains = nn.Parameter(torch.ones(2 * width)) if qk_norm else None  # flat: not a matrix to decay
        self.relative = TransformerXlTerm(width, num_heads) if transformer_xl else None

    def forward(self, frames: Tensor, packing: Packing, plan: AttentionPlan, rotation: Tensor | None = None) -> Tensor:
        """Frames (N, D) → (N, D); `rotation` (H, K, K) turns queries and keys, and values if so built."""
        parts = self._project(frames, packing)
        matched, values = self._normalize_and_rotate(parts[:2], parts[2], rotation)  # queries and keys; values
        return self.project_out(self._mix(matched, values, packing, plan).flatten(1))  # (N, D)

    def compute_weights(
        self, frames: Tensor, packing: Packing, plan: AttentionPlan, rotation: Tensor | None = None
    ) -> Tensor:
        """How much each head attends from each frame to each, (H, B, T, T); of a block, its frames have equal shares.

        For pictures: as slow as T / K forwards.
        """
        parts = self._project(frames, packing)
        matched, values = self._normalize_and_rotate(parts[:2], parts[2], rotation)
        num_frames, head_width = values.shape[-2:]
        # What attention makes of values that are 1 at one frame and 0 at all others is the weights of that frame.
        shares = []
        for first in range(0, num_frames, head_width):
            places = torch.arange(first, first + head_width, device=frames.device)
            one_hot = torch.arange(num_frames, device=frames.device)[:, None] == places  # (T, K)
            shares.append(self._mix(matched, one_hot.to(values.dtype).expand_as(values), packing, plan))
        return packing.unpack(torch.cat(shares, dim=-1)[..., :num_frames]).permute(2, 0, 1, 3)

    def _project(self, frames: Tensor, packing: Packing) -> Tensor:
        """Frames (N, D) → queries, keys and values (3, H, B, T, K)."""
        parts = packing.unpack(self.project_in(frames)).unflatten(-1, (3, self.num_heads, -1))  # (B, T, 3, H, K)
        return parts.permute(2, 3, 0, 1, 4)

    def _mix(self, matched: Tensor, values: Tensor, packing: Packing, plan: AttentionPlan) -> Tensor:
        """Queries and keys (2, H, B, T, K) and values (H, B, T, K) → (N, H, K): the values that each head sees."""
        turned = matched if plan.rotary is None else apply_rotary(matched, *plan.rotary)
        local, everywhere = slice(plan.num_windowed), slice(plan.num_windowed, None)
        attended = []  # each (N, H', K)
        if plan.window_bias is not None:
            attended.append(_pack_heads(_attend_windows(turned[:, local], values[local], plan.window_bias), packing))
        if plan.frame_bias is not None:
            queries, keys = turned[:, everywhere]
            bias = plan.frame_bias
            if self.relative is not None and plan.distances is not None:
                queries, relative = self.relative(queries, plan.distances)
                bias = bias + relative
            attended.append(_attend_densely(queries, keys, values[everywhere], bias, packing))
        if plan.blocks is not None:
            queries, keys = turned[0, everywhere], matched[1, everywhere]
            attended.append(_pack_heads(_attend_blocks(queries, keys, values[everywhere], plan.blocks), packing))
        return torch.cat(attended, dim=1)

    def _normalize_and_rotate(self, matched: Tensor, values: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor]:
        if rotation is not None and self.rotate_values:
            values = _turn(values, rotation)
        if self.gains is not None:
            # On a CPU a third of the time of `functional.rms_norm`, which is in float32 throughout.
            power = matched.float().square().mean(-1, keepdim=True)  # (2, H, B, T, 1)
            matched = matched * (power + EPSILON).rsqrt().to(matched.dtype)
            # The gains go into the rows of the rotation: a product with small matrices costs less than one with gains,
            # whose gradient is a sum over all frames.
            gains = self.gains.view(2, self.num_heads, -1)  # (2, H, K)
            rotation = torch.diag_embed(gains) if rotation is None else gains.unsqueeze(-1) * rotation  # (2, H, K, K)
        return matched if rotation is None else _turn(matched, rotation), values


class TransformerXlTerm(nn.Module):
    """What Transformer-XL has in place of rotary (arXiv 1901.02860): scores (q + u) · k + (q + v) · W r(i − j).

    r is a sinusoid of the distance, u and v are learned for each head. Dense: a product of all queries with all
    distances, in every layer.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.project = nn.Linear(width, width, bias=False)
        self.for_content = nn.Parameter(torch.zeros(width))  # u, flat: not a matrix to decay
        self.for_distance = nn.Parameter(torch.zeros(width))  # v

    def forward(self, queries: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (H, B, T, K), sinusoids (2T−1, D) → queries + u, and what to add to scores, (H, B, T, T)."""
        keys = self.project(distances).unflatten(-1, (self.num_heads, -1)).permute(1, 2, 0)  # (H, K, 2T−1)
        for_content, for_distance = (
            bias.view(self.num_heads, 1, 1, -1).to(queries.dtype) for bias in (self.for_content, self.for_distance)
        )
        scaled = (queries + for_distance) * queries.shape[-1] ** -0.5
        by_distance = scaled @ keys.unsqueeze(1)  # (H, B, T, 2T−1)
        return queries + for_content, skew(by_distance)


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(queries · keysᵀ / √K + bias) · values for queries (H, B, T, K) and keys, values (H, B, S, K).

    `bias` broadcasts to (H, B, T, S). On a GPU, in inference and in float32 this is `scaled_dot_product_attention`: its
    fused kernels, or its plain products where the bias needs a gradient. In bfloat16 training on a CPU the backward of
    that kernel costs 2 to 3 times as much as the plain products written out here.
    """
    if not _plain_products_pay(queries):
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)
    with torch.autocast("cpu", enabled=False):  # it would carry the softmax out in float32 and cast twice
        scores = (queries * queries.shape[-1] ** -0.5) @ keys.mT  # (H, B, T, S)
        return (scores if bias is None else scores + bias).softmax(-1) @ values


def _plain_products_pay(queries: Tensor) -> bool:
    return torch.is_grad_enabled() and queries.dtype == torch.bfloat16 and queries.device.type == "cpu"


def _attend_densely(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, packing: Packing) -> Tensor:
    """All frames attend to all frames of their utterance: (H, B, T, K) → (N, H, K)."""
    lengths = packing.lengths.tolist() if _plain_products_pay(queries) else []
    scores_shared = len(lengths) * packing.num_frames**2
    if sum(length**2 for length in lengths) >= MOST_SCORES_TO_SPLIT * scores_shared:
        return _pack_heads(attend(queries, keys, values, bias), packing)
    # A product for each utterance: the scores of padding, up to half of them all, are neither made nor hidden.
    own = zip(lengths, queries.unbind(1), keys.unbind(1), values.unbind(1), bias.unbind(1), strict=True)
    attended = []
    for length, q, k, v, own_bias in own:
        # A bias with a row for all queries hides padding and does nothing else.
        shown = own_bias[:, :length, :length] if own_bias.shape[1] > 1 else None
        attended.append(attend(q[:, :length], k[:, :length], v[:, :length], shown))
    return torch.cat(attended, dim=1).transpose(0, 1)


def _pack_heads(heads: Tensor, packing: Packing) -> Tensor:
    """Heads (H, B, T, K) → (N, H, K)."""
    return packing.pack(heads.permute(1, 2, 0, 3))


def _turn(heads: Tensor, matrices: Tensor) -> Tensor:
    """Heads (…, H, B, T, K) times matrices (H, K, K) or (…, H, K, K)."""
    return (heads.flatten(-3, -2) @ matrices).view(heads.shape)


def _attend_windows(matched: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Each window of W queries attends to its own frames and those of the windows before and after: (H, B, T, K)."""
    window, (_, batch_size, num_frames, _) = bias.shape[-2], values.shape
    num_windows = -(-num_frames // window)
    # Note: the windows of all utterances stand in one row, so that an utterance's first and last window have those of
    # its neighbours beside them; `bias` hides them.
    row = values.new_zeros(3, len(values), (batch_size * num_windows + 2) * window, values.shape[-1])
    inside = row[:, :, window:-window].unflatten(2, (batch_size, -1))[..., :num_frames, :]  # (3, H, B, T, K)
    inside[:2], inside[2] = matched, values
    windows = row.unflatten(2, (-1, window))  # (3, H, B·N + 2, W, K)
    keys, values = _three_windows(windows[1:])
    attended = attend(windows[0, :, 1:-1], keys, values, bias)  # (H, B·N, W, K)
    return attended.flatten(1, 2).unflatten(1, (batch_size, -1))[:, :, :num_frames]  # (H, B, T, K)


def _three_windows(windows: Tensor) -> Tensor:
    """Each window (…, N + 2, W, K) but the outermost with the one before and the one after: (…, N, 3W, K)."""
    if torch.is_grad_enabled():
        return torch.cat((windows[..., :-2, :, :], windows[..., 1:-1, :, :], windows[..., 2:, :, :]), dim=-2)
    # A view costs no memory, but its gradient is four times slower than that of the copy.
    window = windows.shape[-2]
    return windows.flatten(-3, -2).unfold(-2, 3 * window, window).mT


def _attend_blocks(queries: Tensor, keys: Tensor, values: Tensor, blocks: Blocks) -> Tensor:
    """Queries at frames attend to the means of keys and values over blocks: (H, B, T, K)."""
    batch_size, num_blocks = blocks.weights.shape[:2]

    def average(heads: Tensor) -> Tensor:
        # In float32 whatever the model computes in: a block of an hour-long recording has a hundred frames.
        frames = heads.permute(1, 2, 0, 3).flatten(0, 1).float()  # (B·T, H, K)
        sums = frames.new_zeros(batch_size * (num_blocks + 1), *frames.shape[1:]).index_add(0, blocks.rows, frames)
        means = sums.unflatten(0, (batch_size, -1))[:, :num_blocks] * blocks.weights.unsqueeze(-1)  # (B, G, H, K)
        return means.to(heads.dtype).permute(2, 0, 1, 3)  # (H, B, G, K)

    keys, values = average(keys), average(values)
    if blocks.rotary is not None:
        keys = apply_rotary(keys, *blocks.rotary)
    attended = attend(queries, keys, values, blocks.bias)  # (H, B, T, K)
    return attended if blocks.seen is None else attended * blocks.seen
