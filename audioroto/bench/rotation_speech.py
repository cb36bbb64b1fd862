"""What a rotation learns from speech: decorrelation, and the gap between training and validation loss."""

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from audioroto.bench.rotation_claim import Claim
from audioroto.config import Config, load_config
from audioroto.corpus.datadir import Utterance, read_datadir, write_datadir
from audioroto.errors import UserError
from audioroto.model.asr import AsrModel
from audioroto.model.checkpoint import load_checkpoint
from audioroto.nn.attention import EPSILON, HybridAttention
from audioroto.nn.rotation import CombinedRotation, random_rotation
from audioroto.text.normalize import normalize
from audioroto.text.tokenizer import Tokenizer, train_tokenizer
from audioroto.train.experiment import Experiment
from audioroto.train.trainer import train
from audioroto.train.validate import open_validation_set

NUM_UPDATES = 600
NUM_SPEECH_UTTERANCES = 60  # whose queries and keys are looked at, and that the training loss is measured on again
NUM_RANDOM = 20
SMALL_MODEL = (
    "text.units=char",
    "text.vocab_size=40",
    "encoder.subsampling=4",
    "encoder.subsampling_channels=8",
    "encoder.width=128",
    "encoder.num_blocks=3",
    "encoder.num_heads=2",
    "encoder.feedforward_width=256",
    "encoder.qk_norm=true",
    "train.batch_seconds=20",
    "train.warmup_updates=60",
    "train.num_workers=0",
    "train.keep_checkpoints=1",
)
VARIANTS = {"with": ("rotation.planes=butterfly", "rotation.orthogonal=cayley"), "without": ()}


@dataclass(frozen=True)
class SpeechRuns:
    """Finished small trainings in `folder`: a model file each; `data_dir` holds train and valid."""

    data_dir: Path
    folder: Path
    tokenizer: Tokenizer
    models: dict[str, Path]


def train_small_models(
    data_dir: Path, folder: Path, console: Console, *, num_updates: int = NUM_UPDATES, extra: tuple[str, ...] = ()
) -> SpeechRuns:
    """Train the small model with and without rotation on DATA_DIR/train; what is finished is not done again."""
    length = (
        f"train.max_updates={num_updates}",
        f"train.valid_every_updates={num_updates}",
        "augment.start_update=200",
    )
    configs = {name: load_config([], [*SMALL_MODEL, *length, *extra, *more]) for name, more in VARIANTS.items()}
    settings = configs["with"].text
    texts = [normalize(utterance.text or "", settings.normalizer) for utterance in read_datadir(data_dir / "train")]
    tokenizer_path = folder / "tokenizer.model"
    if not tokenizer_path.exists():  # a run that goes on must find the one it began with
        train_tokenizer(texts, settings.units, settings.vocab_size).save(tokenizer_path)
    models = {}
    for name, config in configs.items():
        exp_dir = folder / name
        console.print(f"small model {name} rotation: {num_updates} updates in {exp_dir}")
        train(config, data_dir / "train", data_dir / "valid", tokenizer_path, exp_dir, device="cpu", console=console)
        models[name] = Experiment(exp_dir).checkpoint(num_updates)
    return SpeechRuns(data_dir, folder, Tokenizer.load(tokenizer_path), models)


def measure_gap(runs: SpeechRuns) -> Claim:
    """Loss on training and validation speech, both without augmentation and dropout, with and without rotation."""
    utterances = read_datadir(runs.data_dir / "train")
    stride = max(1, len(utterances) // NUM_SPEECH_UTTERANCES)
    write_datadir(runs.folder / "train-sample", utterances[::stride])
    figures: dict[str, dict[str, float]] = {}
    rows = []
    for name, path in runs.models.items():
        checkpoint = load_checkpoint(path)
        losses = {}
        for speech_dir in (runs.folder / "train-sample", runs.data_dir / "valid"):
            validator = open_validation_set(speech_dir, runs.tokenizer, checkpoint.config)
            found = validator.run(checkpoint.build(), torch.device("cpu"), torch.float32)
            losses[speech_dir.name] = found.loss
        figures[name] = {
            "train_loss": losses["train-sample"],
            "valid_loss": losses["valid"],
            "gap": losses["valid"] - losses["train-sample"],
            "valid_wer": found.words.rate,
            "updates": checkpoint.step,
        }
        rows.append(
            (
                f"{name} rotation: training → validation loss, gap, validation WER",
                f"{losses['train-sample']:.3f} → {losses['valid']:.3f}, {figures[name]['gap']:.3f}, "
                f"{100 * found.words.rate:.1f} %",
            )
        )
    reading = (
        "Shows: nats a token after one short training each on synthetic voices, equal but for the rotation. The voices "
        "of the two sets differ in difficulty, so that only the difference of the gaps counts. Does not show: a "
        "difference, unless it is far larger than between seeds; 'audioroto bench ablation' has seeds and intervals."
    )
    return Claim("stable training: generalisation", rows, reading, figures)


def measure_decorrelation(models: dict[str, Path], speech_dir: Path) -> Claim:
    """Mean absolute off-diagonal correlation of queries and keys before and after each of several rotations.

    What the rotation is applied to: queries and keys behind their normalisation and gains; the mean is over layers,
    heads, queries and keys. Raises UserError for a model without a rotation.
    """
    utterances = read_datadir(speech_dir)[:NUM_SPEECH_UTTERANCES]
    figures: dict[str, dict[str, float]] = {}
    rows = []
    for name, path in models.items():
        checkpoint = load_checkpoint(path)
        model = checkpoint.build()
        covariance = collect_covariance(model, utterances, checkpoint.config)
        figures[name] = found = compare_correlations(covariance, model, name)
        rows += [(f"{name}, mean |correlation|: {what}", f"{value:.3f}") for what, value in found.items()]
    reading = (
        "Shows: whether a rotation trained by the recognition loss alone came to decorrelate; compare 'learned' with "
        "'as drawn', where it started, and with random ones, which spread any correlation. Principal components have "
        "none by construction. Does not show: that less correlation recognises better."
    )
    return Claim("decorrelation", rows, reading, figures)


@torch.inference_mode()
def collect_covariance(model: AsrModel, utterances: list[Utterance], config: Config) -> Tensor:
    """Covariance over frames of what the rotation is applied to, (L, 2, H, K, K) float64; queries first, then keys."""
    layers = [module for module in model.modules() if isinstance(module, HybridAttention)]
    heard: list[Tensor] = []
    handles = [layer.project_in.register_forward_hook(lambda *args: heard.append(args[2])) for layer in layers]
    rate = config.features.sample_rate
    sums = products = torch.zeros((), dtype=torch.float64)
    count = 0
    try:
        for utterance in utterances:
            samples = utterance.load(rate)
            heard.clear()
            model.encode(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))  # alone: no padding
            matched = torch.stack([_matched(layer, parts) for layer, parts in zip(layers, heard, strict=True)])
            sums = sums + matched.sum(-2)  # (L, 2, H, K)
            products = products + matched.mT @ matched  # (L, 2, H, K, K)
            count += matched.shape[-2]
    finally:
        for handle in handles:
            handle.remove()
    mean = sums / count
    return products / count - mean.unsqueeze(-1) * mean.unsqueeze(-2)


def compare_correlations(covariance: Tensor, model: AsrModel, name: str) -> dict[str, float]:
    """Mean absolute off-diagonal correlation before and after the learned rotation and the controls."""
    rotation = model.encoder.rotation
    if not isinstance(rotation, CombinedRotation):
        raise UserError(f"model {name} has no rotation to measure; train it with --set rotation.planes=butterfly")
    head_width = covariance.shape[-1]
    with torch.no_grad():
        learned = rotation().double().unsqueeze(1)  # (L, 1, H, K, K)
    start = rotation.rotation.start.double().expand(*rotation.rotation.shape, head_width, head_width).unsqueeze(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = random_rotation(head_width, (NUM_RANDOM,)).double()
    components = torch.linalg.eigh(covariance).eigenvectors
    return {
        "before": mean_correlation(covariance),
        "learned rotation": mean_correlation(_turn(covariance, learned)),
        "the rotation as drawn, before training": mean_correlation(_turn(covariance, start)),
        f"mean of {NUM_RANDOM} random rotations": sum(mean_correlation(_turn(covariance, one)) for one in drawn)
        / NUM_RANDOM,
        "principal components": mean_correlation(_turn(covariance, components)),
    }


def mean_correlation(covariance: Tensor) -> float:
    """Mean absolute off-diagonal correlation of covariances (…, K, K); a channel that is constant has none."""
    deviation = covariance.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()  # (…, K)
    scale = deviation.unsqueeze(-1) * deviation.unsqueeze(-2)
    correlation = torch.where(scale > 0, covariance / scale.clamp_min(1e-300), 0.0)
    width = covariance.shape[-1]
    total = correlation.abs().sum((-1, -2)) - correlation.abs().diagonal(dim1=-2, dim2=-1).sum(-1)
    return (total / (width * (width - 1))).mean().item()


def _matched(layer: HybridAttention, parts: Tensor) -> Tensor:
    """Queries and keys of one utterance as the rotation meets them, (2, H, T, K) float64; `parts` (T, 3·D)."""
    matched = parts.double().unflatten(-1, (3, layer.num_heads, -1))[:, :2].permute(1, 2, 0, 3)  # (2, H, T, K)
    if layer.gains is not None:
        matched = matched * (matched.square().mean(-1, keepdim=True) + EPSILON).rsqrt()
        matched = matched * layer.gains.double().view(2, layer.num_heads, 1, -1)
    return matched


def _turn(covariance: Tensor, rotation: Tensor) -> Tensor:
    return rotation.mT @ covariance @ rotation
