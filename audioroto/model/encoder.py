"""The encoder: features in, one vector for each 40 or 80 ms out."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.nn.attention import Attention
from audioroto.nn.branch import Branch
from audioroto.nn.convolution import ConvolutionModule
from audioroto.nn.feedforward import FeedForward
from audioroto.nn.masks import valid_frames
from audioroto.nn.rotation import rotary_angles, rotary_frequencies
from audioroto.nn.subsampling import Subsampling


class Block(nn.Module):
    """Feed-forward, attention, convolution, feed-forward, each a residual branch that is normalised where it begins."""

    def __init__(self, width: int, num_heads: int, feedforward_width: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.feedforward_in = Branch(FeedForward(width, feedforward_width), width, dropout)
        self.attention = Branch(Attention(width, num_heads), width, dropout)
        self.convolution = Branch(ConvolutionModule(width, kernel_size), width, dropout)
        self.feedforward_out = Branch(FeedForward(width, feedforward_width), width, dropout)

    def forward(self, frames: Tensor, valid: Tensor, allowed: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """Frames (B, T, D) → (B, T, D)."""
        frames = self.feedforward_in(frames)
        frames = self.attention(frames, allowed, rotary)
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
    ) -> None:
        super().__init__()
        self.subsampling = Subsampling(num_mels, width, subsampling_channels, subsampling)
        self.blocks = nn.ModuleList(
            Block(width, num_heads, feedforward_width, kernel_size, dropout) for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.register_buffer("frequencies", rotary_frequencies(width // num_heads), persistent=False)

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) and lengths (B,) → frames (B, T', D) and their lengths (B,)."""
        if features.shape[1] == 0:  # all utterances are shorter than a window, and a convolution wants a frame
            features = functional.pad(features, (0, 0, 0, 1))
        frames, lengths = self.subsampling(features, frame_lengths)  # (B, T', D)
        valid = valid_frames(lengths, frames.shape[1])  # (B, T')
        # Note: an utterance without frames may attend to padding, or its softmax would be 0/0 and its gradient NaN.
        allowed = (valid | (lengths == 0)[:, None])[:, None, None, :]  # (B, 1, 1, T')
        with torch.autocast(features.device.type, enabled=False):
            rotary = rotary_angles(frames.shape[1], self.frequencies)
        for block in self.blocks:
            frames = block(frames, valid, allowed, rotary)
        return self.norm(frames), lengths
