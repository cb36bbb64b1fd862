"""The encoder: features in, one vector for each 40 or 80 ms out."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.attention import HybridAttention
from audioroto.nn.bias import Bias
from audioroto.nn.branch import Branch
from audioroto.nn.convolution import ConvolutionModule
from audioroto.nn.feedforward import FeedForward
from audioroto.nn.masks import valid_frames
from audioroto.nn.merge import Merge
from audioroto.nn.plan import AttentionPlan, AttentionPlanner
from audioroto.nn.rotation import rotary_frequencies
from audioroto.nn.subsampling import Subsampling

Coupling = Literal["sequential", "parallel", "attention", "convolution"]


class Block(nn.Module):
    """Feed-forward, what looks sideways, feed-forward; each a residual branch that is normalised where it begins.

    `coupling` says what looks sideways: attention, then convolution (`sequential`, Conformer, arXiv 2005.08100), both
    merged into one branch (`parallel`, E-Branchformer, arXiv 2210.00077), or one of them alone.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        feedforward_width: int,
        kernel_size: int,
        dropout: float,
        coupling: Coupling = "sequential",
        qk_norm: bool = False,
        rotate_values: bool = False,
    ) -> None:
        super().__init__()
        self.coupling = coupling
        self.feedforward_in = Branch(FeedForward(width, feedforward_width), width, dropout)
        attention = HybridAttention(width, num_heads, qk_norm=qk_norm, rotate_values=rotate_values)
        convolution = ConvolutionModule(width, kernel_size)
        if coupling == "parallel":
            self.merge = Branch(Merge(attention, convolution, width, kernel_size), width, dropout)
        if coupling in ("sequential", "attention"):
            self.attention = Branch(attention, width, dropout)
        if coupling in ("sequential", "convolution"):
            self.convolution = Branch(convolution, width, dropout)
        self.feedforward_out = Branch(FeedForward(width, feedforward_width), width, dropout)

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

    frequencies: Tensor

    def __init__(
        self,
        num_mels: int,
        width: int,
        num_blocks: int,
        num_heads: int,
        feedforward_width: int,
        kernel_size: int,
        dropout: float,
        subsampling: int,
        subsampling_channels: int,
        coupling: Coupling = "sequential",
        local_heads: int = 0,
        window_frames: int = 32,
        global_keys: int = 512,
        bias: Bias = "none",
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        self.subsampling = Subsampling(num_mels, width, subsampling_channels, subsampling)
        self.blocks = nn.ModuleList(
            Block(width, num_heads, feedforward_width, kernel_size, dropout, coupling, qk_norm)
            for _ in range(num_blocks)
        )
        self.planner = AttentionPlanner(
            num_heads, local_heads=local_heads, window_frames=window_frames, global_keys=global_keys, bias=bias
        )
        self.norm = nn.LayerNorm(width)
        self.register_buffer("frequencies", rotary_frequencies(width // num_heads), persistent=False)

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) and lengths (B,) → frames (B, T', D) and their lengths (B,)."""
        if features.shape[1] == 0:  # all utterances are shorter than a window, and a convolution wants a frame
            features = functional.pad(features, (0, 0, 0, 1))
        frames, lengths = self.subsampling(features, frame_lengths)  # (B, T', D)
        valid = valid_frames(lengths, frames.shape[1])  # (B, T')
        plan = self.planner(lengths, frames.shape[1], self.frequencies)
        for block in self.blocks:
            frames = block(frames, valid, plan)
        return self.norm(frames), lengths
