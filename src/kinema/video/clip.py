"""A decoded clip: frames, and where and when in the video they were."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of a video.

    Attributes:
        frames: `(T, 3, H, W)` uint8, RGB.
        seconds: `(T,)` float64, presentation times counted from the first frame of the video.
        indices: `(T,)` int64, which frame of the video each one is.
        frames_per_second: the average rate of the video, not of this selection.
    """

    frames: Tensor
    seconds: Tensor
    indices: Tensor
    frames_per_second: float

    @property
    def video(self) -> Tensor:
        """The frames as `(T, 3, H, W)` float32 in [0, 1]."""
        return self.frames.to(torch.float32) / 255

    def __len__(self) -> int:
        return len(self.frames)
