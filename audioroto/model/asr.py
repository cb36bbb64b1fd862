"""The whole recogniser as one network: audio samples in, log-probabilities or a loss out."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from audioroto.config import Config
from audioroto.features.fbank import FRAME_HOP_SECONDS, Fbank
from audioroto.features.normalize import GlobalNormalization
from audioroto.features.specaugment import spec_augment
from audioroto.model.ctc import CtcHead, consistency_loss, ctc_loss
from audioroto.model.decoder import Decoder
from audioroto.model.encoder import Encoded, Encoder
from audioroto.nn.branch import Branch

_SECOND_VIEW = 0x4F1BBCDCBFA53E0B  # flips bits of a seed: SpecAugment's in the second view of an utterance


@dataclass(frozen=True)
class Losses:
    """What one batch costs: sums over its utterances, so that processes and accumulation steps add up exactly.

    Of utterances that are seen in two views, the mean of both.
    """

    total: Tensor  # scalar with gradient
    ctc: Tensor  # scalar
    attention: Tensor | None  # scalar: a term for each token and for each utterance's end; None without a decoder
    intermediate: Tensor | None = None  # scalar: CTC after earlier blocks, their mean; None where it is not asked for
    consistency: Tensor | None = None  # scalar: between the views; None with one alone


class AsrModel(nn.Module):
    """Features, encoder, CTC head and, where configured, attention decoder.

    Waveforms travel in batches; features are made inside, on the model's device.
    """

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.augment = config.augment
        self.loss_settings = config.loss
        self.strength = 1.0  # share of SpecAugment in force; see `set_regularization`
        self.fbank = Fbank(config.features.sample_rate, config.features.num_mels)
        self.normalization = GlobalNormalization(config.features.num_mels)
        self.encoder = Encoder(config.features.num_mels, config.encoder, config.position, config.rotation)
        self.ctc = CtcHead(config.encoder.width, vocab_size)
        self.decoder: Decoder | None = None
        if config.decoder.num_blocks:
            self.decoder = Decoder(
                vocab_size,
                width=config.encoder.width,
                num_blocks=config.decoder.num_blocks,
                num_heads=config.decoder.num_heads,
                feedforward_width=config.decoder.feedforward_width,
                dropout=config.decoder.dropout,
                checkpoint_positions=config.position.checkpoint,
            )

    def encode(
        self, waveforms: Tensor, waveform_lengths: Tensor, augment_seeds: list[int] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Waveforms (B, S) in [−1, 1] and their lengths in samples (B,) → frames (B, T, D) and their lengths (B,).

        `augment_seeds`, one an utterance, switches SpecAugment on.
        """
        features, frame_lengths = self._make_features(waveforms, waveform_lengths)
        if augment_seeds is not None:
            features = self._mask(features, frame_lengths, augment_seeds)
        return self.encoder(features, frame_lengths)

    def forward(self, waveforms: Tensor, waveform_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms (B, S) and lengths (B,) → CTC log-probabilities (B, T, V) and their lengths (B,)."""
        frames, lengths = self.encode(waveforms, waveform_lengths)
        return self.ctc(frames), lengths

    def loss(
        self,
        waveforms: Tensor,
        waveform_lengths: Tensor,
        tokens: Tensor,
        token_lengths: Tensor,
        augment_seeds: list[int] | None = None,
    ) -> Losses:
        """Training loss of a batch, summed over its utterances; `tokens` (B, U) with lengths (B,).

        With a consistency weight and `augment_seeds`, each utterance is seen in two views, of other SpecAugment and
        other dropout, in one batch of twice the size.
        """
        settings = self.loss_settings
        features, frame_lengths = self._make_features(waveforms, waveform_lengths)  # (B, T, F)
        if augment_seeds is None:
            views = [features]
        else:
            seeds = [augment_seeds]
            if settings.consistency_weight:
                seeds.append([seed ^ _SECOND_VIEW for seed in augment_seeds])
            views = [self._mask(features, frame_lengths, each) for each in seeds]
        num_views = len(views)
        blocks = settings.intermediate_blocks or (len(self.encoder.blocks) // 2,)
        encoded = self.encoder.encode(
            torch.cat(views), frame_lengths.repeat(num_views), blocks if settings.intermediate_weight else ()
        )
        return self._weigh_losses(encoded, tokens.repeat(num_views, 1), token_lengths.repeat(num_views), num_views)

    def compute_losses(self, frames: Tensor, lengths: Tensor, tokens: Tensor, token_lengths: Tensor) -> Losses:
        """The losses of encoded frames (B, T, D): CTC's alone, or weighed with the decoder's (arXiv 1609.06773)."""
        return self._weigh_losses(Encoded(frames, lengths, ()), tokens, token_lengths)

    def compute_unspoken_loss(self, tokens: Tensor, token_lengths: Tensor) -> Tensor:
        """The decoder's loss on texts `tokens` (B, U), lengths (B,), that nobody has spoken; their sum."""
        if self.decoder is None:
            raise ValueError("CTC alone learns nothing from text that nobody has spoken")
        frames, lengths = self.decoder.hear_nothing(len(tokens))
        return self.decoder.loss(frames, lengths, tokens, token_lengths, self.loss_settings.label_smoothing)

    def set_regularization(self, strength: float) -> None:
        """Let dropout, layer drop and SpecAugment act with `strength` from 0 (not at all) to 1 (as configured)."""
        self.strength = strength
        self.encoder.strength = strength
        for module in self.modules():
            if isinstance(module, Branch):
                module.strength = strength

    def _weigh_losses(self, encoded: Encoded, tokens: Tensor, token_lengths: Tensor, num_views: int = 1) -> Losses:
        """The losses of what is encoded of `num_views` views: the utterances of one, then the same of the other."""
        settings, lengths = self.loss_settings, encoded.lengths
        log_probs = self.ctc(encoded.frames)  # (B, T, V)
        ctc = total = ctc_loss(log_probs, lengths, tokens, token_lengths) / num_views
        intermediate = consistency = attention = None
        if encoded.earlier:
            each = [ctc_loss(self.ctc(frames), lengths, tokens, token_lengths) for frames in encoded.earlier]
            intermediate = torch.stack(each).mean() / num_views
            total = torch.lerp(total, intermediate, settings.intermediate_weight)
        if num_views == 2:
            consistency = consistency_loss(log_probs, lengths)
            total = total + settings.consistency_weight * consistency
        if self.decoder is not None:
            smoothing = settings.label_smoothing
            attention = self.decoder.loss(encoded.frames, lengths, tokens, token_lengths, smoothing) / num_views
            total = settings.ctc_weight * total + (1 - settings.ctc_weight) * attention
        return Losses(
            total=total,
            ctc=ctc.detach(),
            attention=None if attention is None else attention.detach(),
            intermediate=None if intermediate is None else intermediate.detach(),
            consistency=None if consistency is None else consistency.detach(),
        )

    @torch.no_grad()
    def _make_features(self, waveforms: Tensor, waveform_lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features (B, T, F) and their lengths (B,)."""
        features, frame_lengths = self.fbank(waveforms, waveform_lengths)
        return self.normalization(features, frame_lengths), frame_lengths

    def _mask(self, features: Tensor, frame_lengths: Tensor, seeds: list[int]) -> Tensor:
        augment = self.augment
        masks_per_frame = augment.time_masks_per_second * FRAME_HOP_SECONDS
        num_time_masks = [
            min(augment.max_time_masks, round(masks_per_frame * length)) for length in frame_lengths.tolist()
        ]
        return spec_augment(
            features,
            frame_lengths,
            seeds,
            num_frequency_masks=augment.frequency_masks,
            frequency_mask_bins=round(augment.frequency_mask_bins * self.strength),
            num_time_masks=num_time_masks,
            time_mask_share=augment.time_mask_share * self.strength,
        )


def build_model(config: Config, vocab_size: int) -> AsrModel:
    """A freshly initialised model for `config`; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.train.seed)
        return AsrModel(config, vocab_size)


def count_parameters(model: nn.Module) -> int:
    """Learned numbers in `model`."""
    return sum(parameter.numel() for parameter in model.parameters())
