"""Grey frames and frame differencing maps (video motion prompts, arXiv 2407.03179)."""

from collections.abc import Sequence

import torch
from torch import Tensor

GREY_WEIGHTS = (0.299, 0.587, 0.114)


def grey_frames(frames: Tensor, *, weights: Sequence[float] = GREY_WEIGHTS) -> Tensor:
    """Weigh the channels of each frame into one: `g = 0.299 R + 0.587 G + 0.114 B`.

    Args:
        frames: `(B, T, C, H, W)`, RGB, any floating-point dtype.
        weights: one per channel.

    Returns:
        `(B, T, H, W)`, in [0, 1] for frames in [0, 1]. float64 stays float64; everything else is
        computed and returned in float32, since half precision is as coarse as the differences.
    """
    # Unbound channels give a single pass without a copy in every layout, a backward without zeros
    # of the clip's size, and operations that autocast leaves in float32 (a matmul it would not).
    red, *others = frames.unbind(2)
    grey = red.to(working_dtype(frames)) * weights[0]
    for channel, weight in zip(others, weights[1:], strict=True):
        grey = torch.add(grey, channel, alpha=weight)
    return grey


def frame_difference(
    clip: Tensor,
    *,
    std: Sequence[float] = (1.0, 1.0, 1.0),
    weights: Sequence[float] = GREY_WEIGHTS,
) -> Tensor:
    """Frame differencing maps `D_t = g_{t+1} - g_t` of a normalised clip.

    A clip `(x - mean) / std` is never un-normalised: the mean cancels in the difference, and the
    std is folded into the grey weights.

    Args:
        clip: `(B, T, C, H, W)`, RGB, at least two frames.
        std: what the clip was divided by, one per channel; ones for frames in [0, 1].
        weights: the grey weights, one per channel.

    Returns:
        `(B, T-1, H, W)`, signed, in [-1, 1] for frames in [0, 1]; float64 for float64, otherwise
        float32.
    """
    folded = [weight * deviation for weight, deviation in zip(weights, std, strict=True)]
    grey = grey_frames(clip, weights=folded)
    return grey[:, 1:] - grey[:, :-1]


def working_dtype(clip: Tensor) -> torch.dtype:
    """The dtype in which differences and attention are computed: at least float32."""
    return torch.float64 if clip.dtype == torch.float64 else torch.float32
