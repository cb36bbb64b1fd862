"""Where a run computes and in which precision."""

import os

import torch

from audioroto.errors import UserError


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where torch sees one, else the CPU; any other name is torch's own, of a device that it has.

    The GPU, which is also `cuda`, is one of its own for each process of a machine, by LOCAL_RANK, while there are any.
    """
    if name == "auto" and not torch.cuda.is_available():
        name = "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {name}: torch sees no CUDA device; use --device cpu, or see 'audioroto doctor'")
    if name in ("auto", "cuda"):
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % torch.cuda.device_count()}"
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, ImportError):  # as torch says that it has no such device
        raise UserError(f"device {name}: torch has none of this name; use auto, cpu, cuda or cuda:N") from None
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of autocast: bfloat16 for `auto` where the processor multiplies it in hardware, else float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        capabilities = torch.cpu.get_capabilities()
        fast = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return torch.bfloat16 if fast else torch.float32
