"""Taylor frames: displacement, velocity and acceleration series as the three channels.

Wang, Yuan, Gedeon, Zheng, "Taylor Videos for Action Recognition", ICML 2024. Within a block of
frames the n-th derivative at the first frame is the n-th finite difference there.
"""

import math

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_prompt.difference import grey_frames


def taylor_frames(
    frames: Tensor, *, num_terms: int = 3, block_length: int | None = None, rescale: bool = True
) -> Tensor:
    """Taylor frames of every block of consecutive frames, one frame apart.

    With grey frames `F_1..F_L` of a block and its differences `F', F'', ...` at the first frame,
    channel c (displacement, velocity, acceleration: c = 1, 2, 3) is the mean over tau of
    `sum_k F^(c+k)(F_1) / k! * (F_tau - F_1)^k`, k = 0 .. num_terms - 1.

    Args:
        frames: `(B, T, 3, H, W)`, RGB in [0, 1].
        num_terms: terms of each series, at least 1.
        block_length: frames of a block, at least and by default `num_terms + 3`, which is what
            the acceleration's last term reaches.
        rescale: as published for viewing and training: negative values become 0 and each channel
            of each frame is scaled so that its largest value is 1. False keeps the signed series.

    Returns:
        `(B, T - block_length + 1, 3, H, W)`, in [0, 1] where rescaled.

    Raises:
        InputError: no terms, a block too short for them, or fewer frames than a block has.
    """
    if num_terms < 1:
        raise InputError(f"num_terms is {num_terms}; expected 1 or more, 3 is usual")
    shortest = num_terms + 3
    length = shortest if block_length is None else block_length
    if length < shortest:
        raise InputError(
            f"block_length is {length}; {num_terms} terms need at least {shortest} frames in a "
            "block: lengthen the block or take fewer terms"
        )
    num_frames = frames.shape[1]
    if num_frames < length:
        raise InputError(
            f"the clip has {num_frames} frames; Taylor frames of {num_terms} terms need at least "
            f"{length}: sample more frames or take fewer terms"
        )
    num_blocks = num_frames - length + 1
    grey = grey_frames(frames)
    blocks = torch.stack([grey[:, i : i + num_blocks] for i in range(length)])
    displacement = blocks - blocks[0]
    # What remains of (F_tau - F_1)^k / k! once averaged over the block is common to the channels.
    powers = [(displacement**k).mean(0) / math.factorial(k) for k in range(num_terms)]
    derivatives = [torch.diff(blocks, n=order, dim=0)[0] for order in range(1, shortest)]
    channels = [
        torch.stack([powers[k] * derivatives[c + k] for k in range(num_terms)]).sum(0)
        for c in range(3)
    ]
    series = torch.stack(channels, dim=2)
    if rescale:
        positive = series.clamp_min(0)
        largest = positive.amax(dim=(-2, -1), keepdim=True)
        # A channel without positive values stays zero.
        series = positive / torch.where(largest > 0, largest, 1)
    return series.to(frames.dtype)
