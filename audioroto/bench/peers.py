"""Conformer encoders of other toolkits, each behind a front end that divides frames by 4 and a CTC head.

Nothing of theirs is here: it is imported from the environment that the command runs in, or refused with how to get it.
All have 10 layers of width 176 with 4 heads, about 8 M parameters; features, CTC loss and optimizer are ours for all.
"""

import importlib
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from audioroto.config import Config
from audioroto.errors import UserError
from audioroto.features.fbank import Fbank
from audioroto.model.asr import Losses
from audioroto.model.ctc import CtcHead, ctc_loss
from audioroto.nn.masks import valid_frames
from audioroto.nn.subsampling import subsampled_lengths

PEERS = {"torchaudio": "torchaudio==2.11.0", "speechbrain": "speechbrain==1.1.2", "espnet": "espnet==202511"}

WIDTH, NUM_LAYERS, NUM_HEADS, FEEDFORWARD_WIDTH, KERNEL_SIZE, DROPOUT = 176, 10, 4, 704, 15, 0.1


class PeerModel(nn.Module):
    """Our features, a peer's encoder, our CTC head; trained through the same `loss` as `AsrModel`."""

    def __init__(self, peer: str, config: Config, vocab_size: int) -> None:
        super().__init__()
        encoders = {"torchaudio": TorchaudioEncoder, "speechbrain": SpeechbrainEncoder, "espnet": EspnetEncoder}
        if peer not in encoders:
            raise UserError(f"--peer {peer}: there are {', '.join(PEERS)}")
        self.fbank = Fbank(config.features.sample_rate, config.features.num_mels)
        self.encoder = encoders[peer](config.features.num_mels)
        self.ctc = CtcHead(WIDTH, vocab_size)

    def loss(
        self,
        waveforms: Tensor,
        waveform_lengths: Tensor,
        tokens: Tensor,
        token_lengths: Tensor,
        augment_seeds: list[int] | None = None,
    ) -> Losses:
        """CTC loss of a batch, summed over its utterances; without SpecAugment, whatever the seeds."""
        with torch.no_grad():
            features, frame_lengths = self.fbank(waveforms, waveform_lengths)  # (B, T, F)
        frames, lengths = self.encoder(features, frame_lengths)  # (B, T', D)
        ctc = ctc_loss(self.ctc(frames), lengths, tokens, token_lengths)
        return Losses(total=ctc, ctc=ctc.detach(), attention=None)


class TorchaudioEncoder(nn.Module):
    """`torchaudio.models.Conformer`, which has no front end, behind two convolutions of stride 2."""

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        models = import_peer("torchaudio", "torchaudio.models")
        self.first = nn.Conv2d(1, WIDTH, 3, stride=2, padding=1)
        self.second = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.project = nn.Linear(WIDTH * -(-num_mels // 4), WIDTH)
        self.conformer = models.Conformer(WIDTH, NUM_HEADS, FEEDFORWARD_WIDTH, NUM_LAYERS, KERNEL_SIZE, dropout=DROPOUT)

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) and lengths (B,) → frames (B, T/4, D) and lengths."""
        maps = functional.relu(self.second(functional.relu(self.first(features.unsqueeze(1)))))  # (B, D, T/4, F/4)
        frames = self.project(maps.transpose(1, 2).flatten(2))  # (B, T/4, D)
        return self.conformer(frames, subsampled_lengths(frame_lengths, 4))


class SpeechbrainEncoder(nn.Module):
    """SpeechBrain's Conformer with relative positions behind its convolutional front end, as in its small recipe."""

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        convolution = import_peer("speechbrain", "speechbrain.lobes.models.convolution")
        conformer = import_peer("speechbrain", "speechbrain.lobes.models.transformer.Conformer")
        attention = import_peer("speechbrain", "speechbrain.nnet.attention")
        self.front_end = convolution.ConvolutionFrontEnd(
            (8, 10, num_mels),
            num_blocks=2,
            num_layers_per_block=1,
            out_channels=(64, 32),
            kernel_sizes=(3, 3),
            strides=(2, 2),
            residuals=(False, False),
        )
        self.project = nn.Linear(32 * -(-num_mels // 4), WIDTH)
        self.positions = attention.RelPosEncXL(WIDTH)
        self.conformer = conformer.ConformerEncoder(
            NUM_LAYERS, WIDTH, FEEDFORWARD_WIDTH, NUM_HEADS, kernel_size=KERNEL_SIZE, dropout=DROPOUT
        )

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) and lengths (B,) → frames (B, T/4, D) and lengths."""
        frames = self.project(self.front_end(features).flatten(2))  # (B, T/4, D)
        lengths = subsampled_lengths(frame_lengths, 4)
        padding = ~valid_frames(lengths, frames.shape[1])
        positions = self.positions(frames)
        frames, _ = self.conformer(frames, src_key_padding_mask=padding, pos_embs=positions)
        return frames, lengths


class EspnetEncoder(nn.Module):
    """ESPnet's Conformer with relative positions and its own front end of two convolutions."""

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        conformer = import_peer("espnet", "espnet2.asr.encoder.conformer_encoder")
        self.conformer = conformer.ConformerEncoder(
            num_mels,
            output_size=WIDTH,
            attention_heads=NUM_HEADS,
            linear_units=FEEDFORWARD_WIDTH,
            num_blocks=NUM_LAYERS,
            dropout_rate=DROPOUT,
            positional_dropout_rate=DROPOUT,
            attention_dropout_rate=DROPOUT,
            input_layer="conv2d",
            macaron_style=True,
            rel_pos_type="latest",
            pos_enc_layer_type="rel_pos",
            selfattention_layer_type="rel_selfattn",
            activation_type="swish",
            use_cnn_module=True,
            cnn_module_kernel=KERNEL_SIZE,
        )

    def forward(self, features: Tensor, frame_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, F) and lengths (B,) → frames (B, T/4, D) and lengths."""
        frames, lengths, _ = self.conformer(features, frame_lengths)
        return frames, lengths


def import_peer(peer: str, module: str) -> ModuleType:
    """A module of a peer; raises UserError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"--peer {peer}: {error}; in an environment of its own: pip install {PEERS[peer]} and audioroto"
        ) from None
