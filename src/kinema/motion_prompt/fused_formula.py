"""What every one-pass implementation of the motion prompt layer is told, and has to equal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kinema.motion_prompt.difference import frame_difference, working_dtype
from kinema.motion_prompt.variation import attention_variation


class Prompted(NamedTuple):
    """Video `(B, T-1, C, H, W)`, attention `(B, T-1, H, W)` and the scalar variation."""

    video: Tensor
    attention: Tensor
    variation: Tensor


class Gradients(NamedTuple):
    """Of the frames, the slope and the shift; None where it was not asked for."""

    frames: Tensor | None
    slope: Tensor | None
    shift: Tensor | None


@dataclass(frozen=True)
class PromptFormula:
    """The settings of one prompt: `Z_t = sigmoid(slope * (D_t - shift)) * X_{t+1}`.

    weights: of the channels in the grey frame, the std folded in.
    dtype: of the prompts.
    order: the axes of a canonical `(B, T, C, H, W)` video as they lie in memory, outermost first.
    scale, offset: one per channel; 8-bit frames become `X = scale * frames + offset`. Both None
        where the frames are normalised already.
    """

    weights: tuple[float, ...]
    dtype: torch.dtype
    order: tuple[int, ...] = (0, 1, 2, 3, 4)
    scale: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None

    def reference(self, frames: Tensor, slope: Tensor, shift: Tensor) -> Prompted:
        """The formula an operation at a time, which autograd can follow any number of times."""
        frames = self.normalised(frames)
        attention = torch.sigmoid(slope * (frame_difference(frames, weights=self.weights) - shift))
        video = (frames[:, 1:] * attention.unsqueeze(2)).to(self.dtype)
        return Prompted(video, attention, attention_variation(attention))

    def normalised(self, frames: Tensor) -> Tensor:
        """Canonical frames as the formula's X; 8-bit ones in float32."""
        if self.scale is None or self.offset is None:
            return frames
        scale = torch.tensor(self.scale, device=frames.device).view(3, 1, 1)
        return frames * scale + torch.tensor(self.offset, device=frames.device).view(3, 1, 1)

    def empty(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Room for the prompts, in the memory order asked for, and for the attention."""
        batch, time, channels, height, width = like.shape
        video = self.empty_frames((batch, time - 1, channels, height, width), like.device)
        attention = torch.empty(
            (batch, time - 1, height, width), dtype=working_dtype(like), device=like.device
        )
        return video, attention

    def empty_frames(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Room for a video of a canonical shape, in the dtype and the memory order asked for."""
        strides, step = [0] * len(shape), 1
        for axis in reversed(self.order):
            strides[axis] = step
            step *= shape[axis]
        return torch.empty_strided(shape, strides, dtype=self.dtype, device=device)

    def num_changes(self, frames: Tensor) -> int:
        """How many changes of attention the variation is the mean of."""
        batch, time, _, height, width = frames.shape
        return batch * (time - 2) * height * width


def memory_order(frames: Tensor, preferred: Sequence[int]) -> tuple[int, ...]:
    """The axes of `frames` from the largest stride to the smallest.

    A repeated axis (stride 0) lies nowhere in memory: then, and between equals, `preferred`.
    """
    strides = frames.stride()
    if any(strides[axis] == 0 and frames.shape[axis] > 1 for axis in preferred):
        return tuple(preferred)
    return tuple(sorted(preferred, key=lambda axis: -strides[axis]))
