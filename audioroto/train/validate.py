"""How well the model does on held-out speech while it trains."""

from collections import ChainMap
from dataclasses import dataclass
from pathlib import Path

import torch

from audioroto.config import Config
from audioroto.corpus.batches import BatchPlan, make_batches
from audioroto.corpus.datadir import read_datadir
from audioroto.corpus.loader import SpeechDataset, load_batches
from audioroto.errors import UserError
from audioroto.model.asr import AsrModel
from audioroto.score.error_rate import ErrorRate, score_utterances, sum_rates
from audioroto.search.ctc_greedy import ctc_greedy
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import Tokenizer
from audioroto.train.distributed import ALONE, Processes


@dataclass(frozen=True)
class Validation:
    """Losses in nats a token, error rates of free-running greedy search, and one example."""

    loss: float
    ctc_loss: float
    attention_loss: float | None  # the end of each utterance counts as a token; None without a decoder
    words: ErrorRate
    characters: ErrorRate
    example_reference: str
    example_hypothesis: str


class Validator:
    """Runs the model over a validation set, in batches of at most `batch_seconds` of audio, shared out to processes."""

    def __init__(
        self,
        dataset: SpeechDataset,
        references: dict[str, str],
        tokenizer: Tokenizer,
        batch_seconds: float,
        processes: Processes = ALONE,
    ) -> None:
        plans = make_batches([utterance.seconds for utterance in dataset.utterances], batch_seconds)
        self.dataset = dataset
        self.plans = [BatchPlan(0, number, tuple(indices)) for number, indices in enumerate(plans)]
        self.references = references
        self.tokenizer = tokenizer
        self.processes = processes

    @torch.no_grad()
    def run(self, model: AsrModel, device: torch.device, dtype: torch.dtype) -> Validation:
        """Validate `model` without augmentation and leave it in training mode."""
        model.eval()
        loss, ctc, attention, num_tokens, num_ends = 0.0, 0.0, 0.0, 0.0, 0.0
        hypotheses: dict[str, str] = {}
        for batch in load_batches(self.dataset, self.plans[self.processes.rank :: self.processes.count], num_workers=0):
            tokens, token_lengths = batch.tokens.to(device), batch.token_lengths.to(device)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                frames, lengths = model.encode(batch.waveforms.to(device), batch.waveform_lengths.to(device))
                log_probs = model.ctc(frames)
                losses = model.compute_losses(frames, lengths, tokens, token_lengths)
            loss += losses.total.item()
            ctc += losses.ctc.item()
            if losses.attention is not None:
                attention += losses.attention.item()
                num_ends += len(batch.ids)
            num_tokens += int(batch.token_lengths.sum())
            for utterance_id, row, length in zip(batch.ids, log_probs.cpu().numpy(), lengths.tolist(), strict=True):
                hypotheses[utterance_id] = self.tokenizer.decode(list(ctc_greedy(row[:length]).tokens))
        model.train()
        loss, ctc, attention, num_tokens, num_ends = self.processes.sum([loss, ctc, attention, num_tokens, num_ends])
        hypotheses = dict(ChainMap(*self.processes.gather(hypotheses)))
        words = score_utterances(self.references, hypotheses)
        characters = score_utterances(self.references, hypotheses, unit="character")
        example = min(self.references)
        return Validation(
            loss=loss / max(1, num_tokens),
            ctc_loss=ctc / max(1, num_tokens),
            attention_loss=attention / (num_tokens + num_ends) if num_ends else None,
            words=sum_rates(words),
            characters=sum_rates(characters),
            example_reference=self.references[example],
            example_hypothesis=hypotheses[example],
        )


def open_validation_set(
    valid_dir: str | Path, tokenizer: Tokenizer, config: Config, processes: Processes = ALONE
) -> Validator:
    """The validator of a data directory, its transcripts normalised as the configuration says."""
    utterances = read_datadir(valid_dir)
    references = {utterance.id: normalize(utterance.text or "", config.text.normalizer) for utterance in utterances}
    if not any(references.values()):
        raise UserError(
            f"{valid_dir} has no transcripts to choose checkpoints by; give a --valid-dir whose text has words"
        )
    tokens = [tokenizer.encode(references[utterance.id]) for utterance in utterances]
    dataset = SpeechDataset(utterances, tokens, config.features.sample_rate)
    at_once = config.train.micro_batch_seconds or config.train.batch_seconds
    return Validator(dataset, references, tokenizer, at_once, processes)
