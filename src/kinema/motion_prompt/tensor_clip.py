"""Clips kept as tensors: what a data loader gave a model, in a safetensors file."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_prompt.layer import MotionPrompt
from kinema.motion_prompt.layout import to_canonical
from kinema.motion_prompt.validation import check_clip

SUFFIX = ".safetensors"


def read_tensor_clip(path: str | Path, prompt: MotionPrompt) -> Tensor:
    """Read the one tensor of a safetensors file and undo its normalisation.

    Args:
        path: of the file.
        prompt: its layout, mean and std are those of the clip.

    Returns:
        `(T, 3, H, W)` float32 in [0, 1]; what the normalisation leaves outside is clipped.

    Raises:
        InputError: there is no such file, it is not safetensors, holds not just one tensor, or the
            tensor is not a single clip in the prompt's layout or holds NaN.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the path")
    try:
        with safe_open(path, "pt") as file:
            names = list(file.keys())
            if len(names) != 1:
                raise InputError(
                    f"{path} holds {len(names)} tensors; expected one, a clip in layout "
                    f"{prompt.layout}"
                )
            clip = file.get_tensor(names[0])
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file: {error}") from error
    check_clip(clip, layout=prompt.layout)
    frames = to_canonical(clip, prompt.layout)
    if frames.shape[0] != 1:
        raise InputError(f"{path} holds a batch of {frames.shape[0]} clips; expected a single one")
    mean, std = (
        torch.tensor(values, dtype=torch.float32)[:, None, None]
        for values in (prompt.mean, prompt.std)
    )
    return (frames[0].float() * std + mean).clamp(0, 1)
