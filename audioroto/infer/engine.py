"""Samples to log-probabilities with torch; the only module of this room that needs it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audioroto.corpus.loader import pad_waveforms
from audioroto.errors import UserError
from audioroto.features.fbank import FRAME_HOP_SECONDS
from audioroto.model.asr import count_parameters
from audioroto.model.checkpoint import load_checkpoint
from audioroto.model.device import choose_device
from audioroto.nn.attention import HybridAttention


@dataclass(frozen=True)
class Encoding:
    """What the model hears in a batch: all that searches work on.

    `log_probs` (T, V) float32 of each utterance for the searches in NumPy; for those in torch `frames` (B, T, D) and
    `padded_log_probs` (B, T, V) with their `lengths` (B,), on the model's device.
    """

    log_probs: list[np.ndarray]
    frames: Tensor
    padded_log_probs: Tensor
    lengths: Tensor

    def split(self, spans: Sequence[tuple[int, int]]) -> "Encoding":
        """Spans of its only utterance, (first frame, the one after the last), as the utterances of a batch."""
        lengths = torch.tensor([last - first for first, last in spans], device=self.lengths.device)
        frames, padded_log_probs = (
            torch.nn.utils.rnn.pad_sequence(
                [*(rows[0, first:last] for first, last in spans), rows[0, :1]], batch_first=True
            )[:-1]  # searches need a frame, if only of padding
            for rows in (self.frames, self.padded_log_probs)
        )
        return Encoding([self.log_probs[0][first:last] for first, last in spans], frames, padded_log_probs, lengths)


class TorchEngine:
    """A model file ready to listen: float32, so that an utterance gives the same text in any batch."""

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        if threads:
            torch.set_num_threads(threads)  # of the whole process
        checkpoint = load_checkpoint(path)
        self.device = choose_device(device)
        self.model = checkpoint.build().to(self.device)
        self.decoder = self.model.decoder
        self.config = checkpoint.config
        self.tokenizer = checkpoint.tokenizer
        self.num_parameters = count_parameters(self.model)
        self.model.encoder.fold()
        self.frame_seconds = FRAME_HOP_SECONDS * checkpoint.config.encoder.subsampling  # of an encoder frame

    def encode(self, waveforms: Sequence[np.ndarray]) -> Encoding:
        """What the model hears in waveforms (S,) at its rate."""
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        with torch.inference_mode():
            frames, frame_lengths = self.model.encode(
                pad_waveforms(list(waveforms)).to(self.device), lengths.to(self.device)
            )
            log_probs = self.model.ctc(frames)  # (B, T, V)
        rows = zip(log_probs.cpu().numpy(), frame_lengths.tolist(), strict=True)
        return Encoding([row[:length] for row, length in rows], frames, log_probs, frame_lengths)

    def compute_attention(self, waveform: np.ndarray, block: int) -> np.ndarray:
        """How much each head of a block, counted from 1, attends from each frame to each, (H, T, T), for pictures.

        Raises UserError for a block that the encoder does not have, or that does not attend.
        """
        blocks = self.model.encoder.blocks
        if not 1 <= block <= len(blocks):
            raise UserError(f"there is no block {block}; the encoder has blocks 1 to {len(blocks)}")
        layers = [module for module in blocks[block - 1].modules() if isinstance(module, HybridAttention)]
        if not layers:
            raise UserError("the model's blocks do not attend: it was trained with encoder.coupling = 'convolution'")
        inputs: list[tuple[Any, ...]] = []
        hook = layers[0].register_forward_pre_hook(lambda _, heard: inputs.append(heard))
        try:
            self.encode([waveform])
        finally:
            hook.remove()
        with torch.inference_mode():
            return layers[0].compute_weights(*inputs[0])[:, 0].cpu().numpy()
