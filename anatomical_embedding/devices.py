"""Where networks and searches compute."""

import torch

from anatomical_embedding.errors import SettingsError
from anatomical_embedding.processes import gpu_of_this_process


def choose_device(name: str, *, key: str) -> torch.device:
    """Return the device of a setting: of several GPUs the one of this process.

    Parameters
    ----------
    name : `cpu`, `cuda`, or `auto` for a GPU where there is one.
    key : of the setting, for the error.

    Raises
    ------
    SettingsError
        if a GPU is asked for and none is there.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise SettingsError(f"{key}: is cuda, but no GPU is available here; use auto or cpu")
    takes_gpu = name == "cuda" or (name == "auto" and has_gpu)
    return torch.device("cuda", gpu_of_this_process()) if takes_gpu else torch.device("cpu")
