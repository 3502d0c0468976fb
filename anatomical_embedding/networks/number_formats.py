"""The number format that a network computes in."""

import torch

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def number_format(precision: str, *, device: torch.device) -> torch.dtype:
    """Return the number format of a precision, or float32 where that is both faster and more exact.

    That is bf16 on a processor without instructions for it, where torch convolves ten times more slowly in it.

    Parameters
    ----------
    precision : as in the settings, a key of `FORMATS`.
    device : that computes.
    """
    wanted = FORMATS[precision]
    if wanted == torch.bfloat16 and device.type == "cpu" and not has_bfloat16():
        return torch.float32
    return wanted


def has_bfloat16() -> bool:
    """Return whether this processor has oneDNN's bfloat16: x86 has it from AVX-512 on."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
