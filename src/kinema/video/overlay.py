"""Values as colours, alone and over the picture."""

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.video.pixels import as_floats, checked_map, checked_video


def overlay_heat_map(
    video: Tensor, attention: Tensor, *, opacity: float = 0.5, colormap: str = "inferno"
) -> Tensor:
    """Blend attention, as colours, over a video.

    Args:
        video: `(T, C, H, W)`, RGB or grey, float in [0, 1] or uint8.
        attention: `(T, H, W)` in [0, 1]; values outside are clipped.
        opacity: weight of the colours, 0 to 1.
        colormap: a matplotlib name.

    Returns:
        `(T, 3, H, W)` float32 in [0, 1], on the CPU.

    Raises:
        InputError: the shapes do not fit together, or a value cannot be used.
    """
    video = checked_video(video)
    attention = checked_map(attention, name="attention")
    num_frames, _, height, width = video.shape
    if attention.shape != (num_frames, height, width):
        raise InputError(
            f"attention has shape {tuple(attention.shape)} and video {tuple(video.shape)}, "
            f"expected attention of {(num_frames, height, width)}; a map of differences has one "
            "frame less than its video, so give video[1:]"
        )
    if not 0 <= opacity <= 1:
        raise InputError(f"opacity is {opacity}, expected 0 to 1")
    colours = _colours(as_floats(attention).clamp(0, 1), colormap)
    return (1 - opacity) * as_floats(video).clamp(0, 1) + opacity * colours


def colour_map(values: Tensor, *, limit: float | None = None, colormap: str = "RdBu_r") -> Tensor:
    """Show signed values in colours that diverge from 0: blue below, white at 0, red above.

    Args:
        values: `(T, H, W)` float, such as frame differences.
        limit: the magnitude that gets the strongest colour; beyond it values are clipped. By
            default the largest magnitude there is.
        colormap: a matplotlib name, of a diverging map.

    Returns:
        `(T, 3, H, W)` float32 in [0, 1], on the CPU.

    Raises:
        InputError: the values have another shape or hold NaN, or the limit is not positive.
    """
    values = checked_map(values, name="values").detach().cpu().float()
    if limit is None:
        limit = float(values.abs().max()) or 1.0
    if not limit > 0:
        raise InputError(f"limit is {limit}, expected a positive number")
    return _colours((values / limit).clamp(-1, 1) / 2 + 0.5, colormap)


def _colours(values: Tensor, colormap: str) -> Tensor:
    """`(T, H, W)` in [0, 1] to `(T, 3, H, W)`."""
    # matplotlib takes long to import, and most uses of this package do without.
    import matplotlib

    if colormap not in matplotlib.colormaps:
        raise InputError(
            f"{colormap!r} is no colormap of matplotlib, expected one such as "
            "'inferno', 'turbo' or 'RdBu_r'"
        )
    num_colours = 256
    table = torch.as_tensor(
        matplotlib.colormaps[colormap].resampled(num_colours)(range(num_colours))[:, :3],
        dtype=torch.float32,
    )
    return table[(values * (num_colours - 1)).round().long()].permute(0, 3, 1, 2)
