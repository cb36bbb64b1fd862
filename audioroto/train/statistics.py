"""Mean and deviation of the features over the training set."""

import torch

from audioroto.corpus.batches import BatchPlan
from audioroto.corpus.loader import SpeechDataset, load_batches
from audioroto.features.normalize import FrameStatistics
from audioroto.model.asr import AsrModel

MOST_SECONDS = 3600.0  # an hour tells the mean of 80 numbers


@torch.no_grad()
def measure_statistics(model: AsrModel, dataset: SpeechDataset) -> None:
    """Set the feature normalisation of `model` from about an hour of `dataset` at most, spread evenly over it."""
    total_seconds = sum(utterance.seconds for utterance in dataset.utterances)
    stride = max(1, round(total_seconds / MOST_SECONDS))
    plans = [BatchPlan(0, number, (index,)) for number, index in enumerate(range(0, len(dataset.utterances), stride))]
    device = model.normalization.mean.device
    statistics = FrameStatistics(model.normalization.mean.numel())
    for batch in load_batches(dataset, plans, num_workers=0):
        statistics.accumulate(*model.fbank(batch.waveforms.to(device), batch.waveform_lengths.to(device)))
    model.normalization.set_statistics(statistics)
