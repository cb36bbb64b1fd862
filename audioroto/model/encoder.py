"""The encoder: features in, one vector for each 40 or 80 ms out."""

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
from audioroto.nn.masks import valid_frames
from audioroto.nn.merge import Merge
from audioroto.nn.plan import AttentionPlan, AttentionPlanner
from audioroto.nn.rotation import CombinedRotation, FoldedRotation
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

    def forward(self, frames: Tensor, valid: Tensor, plan: AttentionPlan, rotation: Tensor | None = None) -> Tensor:
        """Frames (B, T, D) → (B, T, D); `rotation` (H, K, K) turns queries and keys of this block."""
        frames = self.feedforward_in(frames)
        if self.coupling == "parallel":
            frames = self.merge(frames, valid, plan, rotation)
        if self.coupling in ("sequential", "attention"):
            frames = self.attention(frames, plan, rotation)
        if self.coupling in ("sequential", "convolution"):
            frames = self.convolution(frames, valid)
        return self.feedforward_out(frames)


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
        """Features (B, T, F) and lengths (B,) → frames (B, T', D) and their lengths (B,)."""
        if features.shape[1] == 0:  # all utterances are shorter than a window, and a convolution wants a frame
            features = functional.pad(features, (0, 0, 0, 1))
        frames, lengths = self.subsampling(features, frame_lengths)  # (B, T', D)
        valid = valid_frames(lengths, frames.shape[1])  # (B, T')
        if self.training:  # and only then: several threads may listen with one encoder
            pooled = self.pooled_share > 0 and float(torch.rand(())) < self.pooled_share
            self.planner.min_stride = 2 if pooled else 1
        plan = self.planner(lengths, frames.shape[1], self.rotary_base and self.rotary_base.frequencies())
        rotations = (
            [None] * len(self.blocks) if self.rotation is None else self.rotation()
        )  # (L, H, K, K), composed once
        for block, rotation in zip(self.blocks, rotations, strict=True):
            if self.checkpoint_blocks and torch.is_grad_enabled():
                frames = checkpoint(block, frames, valid, plan, rotation, use_reentrant=False)
            else:
                frames = block(frames, valid, plan, rotation)
        return self.norm(frames), lengths

    def fold(self) -> None:
        """Freeze the combined rotation into the matrices it composes, for inference; the result stays the same."""
        if isinstance(self.rotation, CombinedRotation):
            self.rotation = self.rotation.fold()
