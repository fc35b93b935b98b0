"""How a clip's axes are laid out, and the one order in which this package computes."""

import torch
from torch import Tensor

from kinema.errors import InputError

NUM_CHANNELS = 3
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_layout(layout: str) -> str:
    """Return `layout` unchanged where it names T, C, H and W once each, B in front or absent.

    Raises:
        InputError: it is anything else.
    """
    axes = layout.removeprefix("B") if isinstance(layout, str) else ""
    if sorted(axes) != ["C", "H", "T", "W"]:
        raise InputError(
            f"layout {layout!r} is not known; expected the letters T, C, H, W once each in the "
            "clip's order, with B in front for a batch, for example 'BTCHW', 'BCTHW', 'TCHW' or "
            "'CTHW'"
        )
    return layout


def to_canonical(
    clip: Tensor, layout: str, *, dtypes: tuple[torch.dtype, ...] = FLOATING
) -> Tensor:
    """View a clip in any layout as `(B, T, C, H, W)`; a clip without batch axis gets B = 1.

    Args:
        clip: video of three channels, its axes in the order of `layout`.
        layout: as `check_layout` takes it.
        dtypes: what the clip may be; floating-point, if not said otherwise.

    Only shapes and dtype are read, never values, so this traces under `torch.export`.

    Raises:
        InputError: the layout is unknown, or the clip is no tensor of these dtypes, has another
            rank, another number of channels or an axis of length 0.
    """
    check_layout(layout)
    if not isinstance(clip, Tensor):
        raise InputError(
            f"the clip is a {type(clip).__name__}; expected a torch.Tensor in layout {layout}: "
            "convert it with torch.as_tensor"
        )
    if clip.ndim != len(layout):
        raise InputError(
            f"the clip has shape {tuple(clip.shape)}, rank {clip.ndim}; layout {layout} needs "
            f"rank {len(layout)}: reshape the clip or name its layout"
        )
    if clip.dtype not in dtypes and dtypes != FLOATING:
        expected = " or ".join(str(dtype) for dtype in dtypes)
        raise InputError(f"the clip is {clip.dtype}; expected {expected}, frames as decoded")
    if clip.dtype not in dtypes:
        raise InputError(
            f"the clip is {clip.dtype}; expected a normalised floating-point clip: divide 8-bit "
            "frames by 255, subtract the mean and divide by the standard deviation"
        )
    num_channels = clip.shape[layout.index("C")]
    if num_channels != NUM_CHANNELS:
        raise InputError(
            f"the clip has {num_channels} channels on axis {layout.index('C')} of shape "
            f"{tuple(clip.shape)}; layout {layout} needs {NUM_CHANNELS} (red, green, blue) there: "
            "name the layout the clip has, or convert it to RGB"
        )
    for axis, size in zip(layout, clip.shape, strict=True):
        if size == 0:
            raise InputError(
                f"the clip has shape {tuple(clip.shape)} with nothing along {axis}; expected at "
                "least 1 there: check how the clip was cut"
            )
    batched = clip if layout.startswith("B") else clip.unsqueeze(0)
    return batched.permute(_order_to_canonical(layout))


def from_canonical(video: Tensor, layout: str) -> Tensor:
    """View a `(B, T, C, H, W)` video in `layout` again, the inverse of `to_canonical`."""
    batched = video.permute(canonical_axes(layout))
    return batched if layout.startswith("B") else batched.squeeze(0)


def canonical_axes(layout: str) -> tuple[int, ...]:
    """The axes of a canonical `(B, T, C, H, W)` video in the order in which `layout` has them."""
    return tuple("BTCHW".index(axis) for axis in _with_batch(layout))


def _order_to_canonical(layout: str) -> list[int]:
    axes = _with_batch(layout)
    return [axes.index(axis) for axis in "BTCHW"]


def _with_batch(layout: str) -> str:
    return "B" + layout.removeprefix("B")
