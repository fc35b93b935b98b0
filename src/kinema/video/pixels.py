"""Check a video tensor before it is drawn on or written."""

import torch
from torch import Tensor

from kinema.errors import InputError


def checked_video(video: Tensor, *, name: str = "video") -> Tensor:
    """Return `video` where it is `(T, C, H, W)`, C 1 or 3, uint8 or float.

    Raises:
        InputError: it is not, has no frames or pixels, or holds NaN or infinity.
    """
    if not isinstance(video, Tensor):
        raise InputError(f"{name} is a {type(video).__name__}, expected a torch tensor")
    shape = tuple(video.shape)
    if video.ndim != 4:
        raise InputError(f"{name} has shape {shape}, expected (T, C, H, W)")
    if shape[1] not in (1, 3):
        raise InputError(
            f"{name} has shape {shape} with {shape[1]} channels, expected (T, C, H, W) with "
            "1 (grey) or 3 (RGB)"
        )
    if 0 in shape:
        raise InputError(f"{name} has shape {shape}, expected at least one frame and one pixel")
    return _checked_values(video, name)


def checked_map(values: Tensor, *, name: str) -> Tensor:
    """Return `values` where they are `(T, H, W)`, float, finite.

    Raises:
        InputError: they are not.
    """
    if not isinstance(values, Tensor):
        raise InputError(f"{name} is a {type(values).__name__}, expected a torch tensor")
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(f"{name} has shape {tuple(values.shape)}, expected (T, H, W)")
    return _checked_values(values, name)


def as_bytes(video: Tensor) -> Tensor:
    """To uint8 on the CPU; floats are clipped to [0, 1] and rounded to 256 levels."""
    video = video.detach().cpu()
    if video.dtype == torch.uint8:
        return video
    return (video.float().clamp(0, 1) * 255).round().to(torch.uint8)


def as_floats(video: Tensor) -> Tensor:
    """To float32 on the CPU; uint8 is brought to [0, 1]."""
    video = video.detach().cpu()
    return video.float() / 255 if video.dtype == torch.uint8 else video.float()


def _checked_values(values: Tensor, name: str) -> Tensor:
    if values.dtype == torch.uint8:
        return values
    if not values.is_floating_point():
        raise InputError(f"{name} has dtype {values.dtype}, expected uint8 or a float in [0, 1]")
    # The extremes carry NaN and infinity along, in one pass and without a temporary.
    if not torch.stack(torch.aminmax(values.detach())).isfinite().all():
        raise InputError(f"{name} holds NaN or infinity; find where they come from")
    return values
