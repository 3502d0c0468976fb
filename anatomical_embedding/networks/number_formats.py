"""The number format that a network computes in."""

import torch

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def computed_precision(precision: str, *, device: torch.device) -> str:
    """Return the precision that is computed in: the one asked for, or fp32 where that is both faster and more exact.

    That is instead of bf16 on a processor without instructions for it, where torch convolves ten times more slowly in
    it.

    Parameters
    ----------
    precision : as in the settings, a key of `FORMATS`.
    device : that computes.
    """
    return "fp32" if precision == "bf16" and device.type == "cpu" and not has_bfloat16() else precision


def notes_on_precision(asked: str, computed: str, *, key: str) -> list[str]:
    """Return a note where another precision is computed in than the settings ask for under a key; else nothing."""
    return [] if computed == asked else [f"{key}: {asked} is slow on this processor; computing in {computed}"]


def has_bfloat16() -> bool:
    """Return whether this processor has oneDNN's bfloat16: x86 has it from AVX-512 on."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
