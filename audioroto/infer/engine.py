"""Samples to log-probabilities with torch; the only module of this room that needs it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from audioroto.corpus.loader import pad_waveforms
from audioroto.model.asr import count_parameters
from audioroto.model.checkpoint import load_checkpoint
from audioroto.model.device import choose_device


class TorchEngine:
    """A model file ready to listen: float32, so that an utterance gives the same text in any batch."""

    def __init__(self, path: str | Path, device: str = "auto") -> None:
        checkpoint = load_checkpoint(path)
        self.device = choose_device(device)
        self.model = checkpoint.build().to(self.device)
        self.config = checkpoint.config
        self.tokenizer = checkpoint.tokenizer
        self.num_parameters = count_parameters(self.model)

    def compute_log_probs(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Waveforms (S,) at the model's rate → CTC log-probabilities (T, V) of each, float32."""
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        with torch.inference_mode():
            log_probs, frame_lengths = self.model(
                pad_waveforms(list(waveforms)).to(self.device), lengths.to(self.device)
            )
        return [
            row[:length].cpu().numpy() for row, length in zip(log_probs, frame_lengths.tolist(), strict=True)
        ]  # (T, V) each
