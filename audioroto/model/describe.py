"""A network in words: its modules with their shapes and parameters, and which components are on."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from audioroto.config import Config
from audioroto.model.asr import AsrModel, count_parameters

DEEPEST = 4  # parts of a name: encoder.blocks.0.attention
FIRST_TOKEN = 3  # the first id that is no special token


@dataclass(frozen=True)
class ModuleSummary:
    """A module; `times` modules of this kind stand in a row, and each has `parameters` learned numbers."""

    name: str
    kind: str
    shape_in: str
    shape_out: str
    parameters: int
    times: int = 1


def summarize_modules(model: AsrModel, seconds: float = 4.0) -> list[ModuleSummary]:
    """The parts of `model` that learn or are called, with the shapes they see of one utterance of noise.

    Of blocks in a row the first is described, with its own parts. A part that is never called as a module, because
    others read its parameters, has no shapes.
    """
    shapes = record_shapes(model, seconds)
    found = []
    for name, module in model.named_modules():
        if not name or name.count(".") >= DEEPEST or not count_parameters(module) or isinstance(module, nn.ModuleList):
            continue
        path, row, place = _split_row(name)
        if place:  # a later block is as the first
            continue
        times = len(list(model.get_submodule(row).children())) if row and path == name else 1
        shape_in, shape_out = shapes.get(name, ("–", "–"))
        found.append(ModuleSummary(name, type(module).__name__, shape_in, shape_out, count_parameters(module), times))
    return found


@torch.no_grad()
def record_shapes(model: AsrModel, seconds: float) -> dict[str, tuple[str, str]]:
    """Shapes in and out of every module that computing the loss of one utterance calls."""
    shapes: dict[str, tuple[str, str]] = {}

    def listen(name: str) -> Any:
        def note(_module: nn.Module, inputs: Any, output: Any) -> None:
            shapes.setdefault(name, (_describe(inputs), _describe(output)))

        return note

    handles = [module.register_forward_hook(listen(name)) for name, module in model.named_modules() if name]
    was_training = model.training
    model.eval()
    try:
        waveforms = 0.1 * torch.randn(1, round(seconds * model.fbank.sample_rate))
        tokens = torch.full((1, max(1, round(seconds))), FIRST_TOKEN)
        lengths = torch.tensor([waveforms.shape[1]]), torch.tensor([tokens.shape[1]])
        # Note: not model.loss, which asks the encoder for earlier blocks and passes its hooks by.
        frames, frame_lengths = model.encode(waveforms, lengths[0])
        model.compute_losses(frames, frame_lengths, tokens, lengths[1])
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return shapes


def list_components(config: Config) -> Iterator[tuple[str, bool, str]]:
    """Each component as (name, whether it is on, how it is set)."""
    encoder, position, rotation, decoder = config.encoder, config.position, config.rotation, config.decoder
    attends = encoder.coupling != "convolution"
    base = {"fixed": "fixed", "loss": "answers to the training loss", "learned": "learned"}.get(
        position.mode, "frequencies of each head learned"
    )
    rotary = position.kind == "rotary" and attends
    yield "rotary positions", rotary, f"{position.spacing} spacing, base {position.base:g}"
    yield (
        "Transformer-XL positions",
        position.kind == "transformer_xl" and attends,
        "content-dependent, dense attention",
    )
    yield "learned sinusoids of frames", position.kind == "sinusoid", "L2-normalised, added after the front end"
    yield "base that moves", position.mode != "fixed" and attends, base
    rounds = f", {rotation.rounds} rounds" if rotation.rounds else ""
    yield (
        "combined rotation",
        rotation.on and attends,
        f"Givens planes {rotation.planes}{rounds}, R {rotation.orthogonal}, shared by {rotation.share}"
        f"{', values too' if rotation.values else ''}",
    )
    yield "query and key normalisation", encoder.qk_norm and attends, "root mean square, a gain a channel"
    yield "relative bias", encoder.bias != "none" and attends, encoder.bias
    local = f"{encoder.local_heads} of {encoder.num_heads} heads within ± {encoder.window_frames} frames"
    yield "local heads", encoder.local_heads > 0 and attends, local
    most = "dense" if position.kind == "transformer_xl" else f"with at most {encoder.global_keys} keys"
    keys = f"{encoder.num_heads - encoder.local_heads} heads {most}"
    yield "global heads", encoder.local_heads < encoder.num_heads and attends, keys
    yield "convolution", encoder.coupling != "attention", f"{encoder.kernel_size} frames, coupling {encoder.coupling}"
    yield "decoder with learned sinusoids", decoder.num_blocks > 0, f"{decoder.num_blocks} blocks"
    yield "activation checkpointing of blocks", encoder.checkpoint_blocks, "of the encoder's"
    yield "activation checkpointing of sinusoids", position.checkpoint, "of frames and of the decoder's tokens"


def _split_row(name: str) -> tuple[str, str, int]:
    """Of a module in a list of modules: the member's name, the list's, and which member it is; else ("", "", 0)."""
    parts = name.split(".")
    for number, part in enumerate(parts):
        if part.isdecimal():
            return ".".join(parts[: number + 1]), ".".join(parts[:number]), int(part)
    return "", "", 0


def _describe(value: Any) -> str:
    """The shape of what a module takes or gives; of a tuple the first, for the rest is context."""
    while isinstance(value, tuple):
        if not value:
            return "–"
        value = value[0]
    return " × ".join(str(size) for size in value.shape) if isinstance(value, Tensor) else "–"
