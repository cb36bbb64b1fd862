"""A safetensors file that knows its own hash: a truncated or altered one is noticed when it is read."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from audioroto.errors import UserError


class DamagedFileError(Exception):
    """Why a file is not what was written; callers say which file, and what to do."""


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and metadata with their hash. Not atomic by itself: `path` is that of `files.atomic_path`.

    Raises UserError when there is no room.
    """
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        save_file(tensors, path, {**metadata, "sha256": compute_hash(tensors, metadata)})
    except SafetensorError as error:  # not an OSError, even where the disk is full
        raise UserError(f"{Path(path).parent}: cannot write there ({error}); make room and run it again") from None


def read_tensors(path: str | Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file, verified. Raises DamagedFileError with what is wrong."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Note: cloned, because what get_tensor gives is the file itself, mapped: it would change with the file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 – not a dictionary
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(str(error)) from None
    found = metadata.pop("sha256", None)
    if found is None:
        raise DamagedFileError("no hash is stored with it: audioroto has not written it")
    if found != compute_hash(tensors, metadata):
        raise DamagedFileError("its content does not have the hash that was stored with it")
    return metadata, tensors


def compute_hash(tensors: dict[str, Tensor], metadata: dict[str, str]) -> str:
    """SHA-256 over names, types, shapes and values: safetensors itself notices a missing end, but no changed bit."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
