"""Checks of what a caller gives: clips and channel statistics."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_prompt.layout import NUM_CHANNELS, to_canonical

MIN_FRAMES = 2


def check_num_frames(num_frames: int) -> None:
    """Raise InputError where a clip is too short to have a frame difference."""
    if num_frames < MIN_FRAMES:
        raise InputError(
            f"the clip has {num_frames} frame; a motion prompt needs at least {MIN_FRAMES} (and 3 "
            "for a temporal attention variation): sample more frames"
        )


def check_clip(clip: Tensor, *, layout: str = "BTCHW") -> None:
    """Raise InputError unless `clip` can be prompted: shape, dtype, frames, and finite values.

    `MotionPrompt.forward` checks shapes only. Whether a value is NaN depends on the data: asking
    in the forward pass would make the CPU wait for the accelerator at every step and could not be
    exported. So the question is asked here, where a clip enters (the command line, a data loader,
    `MotionPromptClassifier`), in one pass over the clip without a temporary.

    Args:
        clip: the normalised video, in `layout`.
        layout: as `MotionPrompt` takes it.

    Raises:
        InputError: see `to_canonical`; fewer than two frames; a NaN or infinite value.
    """
    frames = to_canonical(clip, layout)
    check_num_frames(frames.shape[1])
    # Extremes carry NaN and infinities along; a sum would do so too but may overflow by itself.
    extremes = torch.stack(torch.aminmax(frames.detach()))
    if extremes.isfinite().all():
        return
    bad = ~torch.isfinite(frames)
    sample, frame = bad.nonzero()[0, :2].tolist()
    raise InputError(
        f"the clip holds {int(bad.sum())} NaN or infinite values, the first in frame {frame} of "
        f"clip {sample}; expected finite numbers only: check decoding and normalisation"
    )


def check_std(std: Sequence[float]) -> tuple[float, ...]:
    """Return `std` as one finite positive float per channel, or raise InputError."""
    values = check_per_channel("std", std)
    if min(values) <= 0:
        raise InputError(
            f"std is {values}; expected values above 0, since the clip was divided by them: give "
            "the standard deviation the clip was normalised with"
        )
    return values


def check_per_channel(name: str, values: Sequence[float]) -> tuple[float, ...]:
    """Return `values` as one finite float per channel, or raise InputError."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != NUM_CHANNELS or not all(map(math.isfinite, numbers)):
        raise InputError(
            f"{name} is {values!r}; expected {NUM_CHANNELS} finite numbers, one for each of red, "
            "green and blue, for example (0.45, 0.45, 0.45)"
        )
    return numbers
