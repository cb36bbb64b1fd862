"""The encoder: features in, one vector for each 40 or 80 ms out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from audioroto.config import Encoder as EncoderSettings
from audioroto.config import Position as PositionSettings
from audioroto.config import Rotation as RotationSettings
from audioroto.nn.attention import HybridAttention
from audioroto.nn.branch import Branch
from audioroto.nn.convolution import ConvolutionModule
from audioroto.nn.feedforward import FeedForward
from audioroto.nn.frequency import RotaryBase
from audioroto.nn.merge import Merge
from audioroto.nn.packing import Packing
from audioroto.nn.plan import AttentionPlan, AttentionPlanner
from audioroto.nn.rotation import CombinedRotation, FoldedRotation
from audioroto.nn.sinusoid import SinusoidalEmbedding
from audioroto.nn.subsampling import Subsampling


class Block(nn.Module):
    """Feed-forward, what looks sideways, feed-forward; each a residual branch that is normalised where it begins.

    `coupling` says what looks sideways: attention, then convolution (`sequential`, Conformer, arXiv 2005.08100), both
    merged into one branch (`parallel`, E-Branchformer, arXiv 2210.00077), or one of them alone.
    """

    def __init__(self, settings: EncoderSettings, rotate_values: bool, transformer_xl: bool) -> None:
        super().__init__()
        width, dropout = settings.width, settings.dropout
        self.coupling = settings.coupling
        self.feedforward_in = Branch(FeedForward(width, settings.feedforward_width), width, dropout)
        attention = HybridAttention(
            width,
            settings.num_heads,
            qk_norm=settings.qk_norm,
            rotate_values=rotate_values,
            transformer_xl=transformer_xl,
        )
        convolution = ConvolutionModule(width, settings.kernel_size)
        if self.coupling == "parallel":
            self.merge = Branch(Merge(attention, convolution, width, settings.kernel_size), width, dropout)
        if self.coupling in ("sequential", "attention"):
            self.attention = Branch(attention, width, dropout)
        if self.coupling in ("sequential", "convolution"):
            self.convolution = Branch(convolution, width, dropout)
        self.feedforward_out = Branch(FeedForward(width, settings.feedforward_width), width, dropout)

    def forward(self, frames: Tensor, packing: Packing, plan: AttentionPlan, rotation: Tensor | None = None) -> Tensor:
        """Frames (N, D) → (N, D); `rotation` (H, K, K) turns queries and keys of this block."""
        frames = self.feedforward_in(frames, packing=packing)
        if self.coupling == "parallel":
            frames = self.merge(frames, packing, plan, rotation, packing=packing)
        if self.coupling in ("sequential", "attention"):
            frames = self.attention(frames, packing, plan, rotation, packing=packing)
        if self.coupling in ("sequential", "convolution"):
            frames = self.convolution(frames, packing, packing=packing)
        return self.feedforward_out(frames, packing=packing)


@dataclass(frozen=True)
class Encoded:
    """What comes out of the encoder: normalised frames (B, T', D), their lengths (B,), and those of earlier blocks."""

    frames: Tensor
    lengths: Tensor
    earlier: tuple[Tensor, ...]  # each (B, T', D), through the same normalisation


class Encoder(nn.Module):
    """Convolutional front end, blocks, one normalisation at the end.

    There is no normalisation at a block's end: the residual stream runs from the front end to the last layer untouched,
    which lets CTC leave its first plateau hundreds of updates earlier than a textbook Conformer.
    """

    def __init__(
        self, num_mels: int, settings: EncoderSettings, position: PositionSettings, rotation: RotationSettings
    ) -> None:
        super().__init__()
        head_width = settings.width // settings.num_heads
        transformer_xl = position.kind == "transformer_xl"
        self.checkpoint_blocks = settings.checkpoint_blocks
        self.pooled_share = settings.pooled_share
        self.layer_drop = settings.layer_drop
        self.strength = 1.0  # share of the layer drop in force; training lets it grow
        self.subsampling = Subsampling(num_mels, settings.width, settings.subsampling_channels, settings.subsampling)
        self.blocks = nn.ModuleList(
            Block(settings, rotation.values, transformer_xl) for _ in range(settings.num_blocks)
        )
        self.planner = AttentionPlanner(
            settings.num_heads,
            local_heads=settings.local_heads,
            window_frames=settings.window_frames,
            global_keys=settings.global_keys,
            bias=settings.bias,
            distance_width=settings.width if transformer_xl else 0,
        )
        self.positions = (
            SinusoidalEmbedding(settings.width, position.checkpoint) if position.kind == "sinusoid" else None
        )
        self.rotary_base = (
            RotaryBase(head_width, settings.num_heads, position.base, position.spacing, position.mode)
            if position.kind == "rotary"
            else None
        )
        self.rotation: CombinedRotation | FoldedRotation | None = None
        if rotation.on:
            self.rotation = CombinedRotation(
                settings.num_blocks,
                settings.num_heads,
                head_width,
                rotation.share,
                rotation.planes,
                rotation.rounds or None,
                rotation.orthogonal,
            )
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) and lengths (B,) → frames (B, T', D), zero at padding, and their lengths (B,)."""
        encoded = self.encode(features, frame_lengths)
        return encoded.frames, encoded.lengths

    def encode(self, features: Tensor, frame_lengths: Tensor, after_blocks: tuple[int, ...] = ()) -> Encoded:
        """The same, with the frames after each of `after_blocks`, counted from 1 and ascending."""
        if features.shape[1] == 0:  # all utterances are shorter than a window, and a convolution wants a frame
            features = functional.pad(features, (0, 0, 0, 1))
        frames, packing = self.subsampling(features, frame_lengths)  # (N, D)
        if self.positions is not None:
            frames = frames + self.positions(packing.num_frames).index_select(0, packing.offsets)
        lengths = packing.lengths
        if self.training:  # and only then: several threads may listen with one encoder
            pooled = self.pooled_share > 0 and float(torch.rand(())) < self.pooled_share
            self.planner.min_stride = 2 if pooled else 1
        plan = self.planner(lengths, packing.num_frames, self.rotary_base and self.rotary_base.frequencies())
        rotations = (
            [None] * len(self.blocks) if self.rotation is None else self.rotation()
        )  # (L, H, K, K), composed once
        skipped = self._draw_skipped_blocks()
        earlier = []
        for number, (block, rotation) in enumerate(zip(self.blocks, rotations, strict=True), start=1):
            if number in skipped:
                pass
            elif self.checkpoint_blocks and torch.is_grad_enabled():
                frames = checkpoint(block, frames, packing, plan, rotation, use_reentrant=False)
            else:
                frames = block(frames, packing, plan, rotation)
            if number in after_blocks:
                earlier.append(packing.unpack(self.norm(frames)))
        return Encoded(packing.unpack(self.norm(frames)), lengths, tuple(earlier))

    def fold(self) -> None:
        """Freeze the combined rotation into the matrices it composes, for inference; the result stays the same."""
        if isinstance(self.rotation, CombinedRotation):
            self.rotation = self.rotation.fold()

    def _draw_skipped_blocks(self) -> set[int]:
        """Blocks that the batch passes by in training: deeper ones more often, up to `layer_drop` for the last.

        Stochastic depth (arXiv 1603.09382, 1909.11556). A block adds to the residual stream alone, so that what is
        left stands by itself; nothing is scaled, in training or after.
        """
        rate = self.layer_drop * self.strength
        if not self.training or rate == 0:
            return set()
        num_blocks = len(self.blocks)
        drawn = torch.rand(num_blocks).tolist()  # Note: on the CPU, whose generator is seeded too: no wait for a GPU
        return {number for number, draw in enumerate(drawn, start=1) if draw < rate * number / num_blocks}
