"""Tracks of points through a video, and what every tracker gives.

A tracker takes a video and returns `Tracks`; `LucasKanade` and `CoTracker` are two. All follow the
same grid over the first frame, so that the measures of `fidelity` may compare what they find, and
all speak in half frame widths, so that the size of a frame does not matter.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from kinema.errors import InputError

LEAST_SEEN = 0.5
"""Share of the frames in which a point must be seen for its track to count."""

_MARGIN = 1 / 64
"""Of the frame's width, between its border and the grid, as CoTracker leaves it."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where N points of a video are in each of its T frames.

    Attributes:
        position: (N, T, 2), x right and y down, in half frame widths of the shorter side with the
            middle of the frame at 0; finite also where a point is not seen.
        visible: in which frames the point is seen, (N, T) bool; None means in all.
    """

    position: Tensor
    visible: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.position.shape)
        if len(shape) != 3 or shape[2] != 2 or shape[0] < 1 or shape[1] < 2:
            raise InputError(
                f"tracks have positions of shape {shape}; give (N, T, 2) of one point or more and "
                "two frames or more"
            )
        if not self.position.is_floating_point() or not self.position.isfinite().all():
            raise InputError(
                "tracks have positions that are not finite floating point numbers; where a point "
                "is not seen, give its last position and mark it in `visible`"
            )
        if self.visible is not None and (
            self.visible.shape != shape[:2] or self.visible.dtype != torch.bool
        ):
            raise InputError(
                f"tracks of shape {shape} have a visibility of {tuple(self.visible.shape)} "
                f"{self.visible.dtype}; give a bool for each point and frame, {shape[:2]}"
            )

    @property
    def counted(self) -> Tensor:
        """Which points are seen in at least half of the frames, (N,) bool."""
        if self.visible is None:
            return torch.ones(len(self.position), dtype=torch.bool, device=self.position.device)
        return self.visible.float().mean(dim=1) >= LEAST_SEEN


class Tracker(Protocol):
    """Follows points of a grid through one video."""

    def __call__(self, video: Tensor, *, clip: str = "the video") -> Tracks:
        """Return the tracks of a video (T, 3, H, W) in [0, 1]; `clip` names it in errors."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return what tells its tracks from another's, in values that JSON has; "name" is one."""
        ...


def grid_positions(grid_size: int, *, height: int, width: int) -> Tensor:
    """Return a grid of points over a frame, row by row, (grid_size ** 2, 2) in half frame widths.

    The outermost points lie a 64th of the width inside the border; a grid of 1 is the middle.

    Raises:
        InputError: `grid_size` is below 1.
    """
    if grid_size < 1:
        raise InputError(f"grid_size is {grid_size}; give the points along a side, 1 or more")
    axis = torch.linspace(-1, 1, grid_size) if grid_size > 1 else torch.zeros(1)
    half = min(height, width) / 2
    margin = _MARGIN * width
    x, y = axis * (width / 2 - margin) / half, axis * (height / 2 - margin) / half
    rows, columns = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((columns.flatten(), rows.flatten()), dim=1)


def to_pixels(position: Tensor, *, height: int, width: int) -> Tensor:
    """Return pixel coordinates (..., 2), 0 the middle of the first pixel, of half frame widths."""
    middle = position.new_tensor((width / 2, height / 2))
    return position * (min(height, width) / 2) + middle - 0.5


def from_pixels(pixels: Tensor, *, height: int, width: int) -> Tensor:
    """Return half frame widths (..., 2) of pixel coordinates; undoes `to_pixels`."""
    middle = pixels.new_tensor((width / 2, height / 2))
    return (pixels + 0.5 - middle) / (min(height, width) / 2)


def check_video(video: Tensor, *, clip: str) -> None:
    """Refuse what is not one video of two frames or more.

    Raises:
        InputError: another rank, other channels, integer values, NaN or a single frame.
    """
    if video.ndim != 4 or video.shape[1] != 3 or video.shape[0] < 2:
        raise InputError(
            f"{clip} has shape {tuple(video.shape)}; give (T, 3, H, W) with two frames or more"
        )
    if not video.is_floating_point() or not video.isfinite().all():
        raise InputError(f"{clip} is {video.dtype}; give finite floating point in [0, 1]")


def check_found(tracks: Tracks, *, clip: str) -> Tracks:
    """Return `tracks` if any of them counts.

    Raises:
        InputError: no point is seen in half of the frames; the sentence names the clip.
    """
    if not tracks.counted.any():
        raise InputError(
            f"no tracks found in {clip}: none of {len(tracks.position)} points can be followed "
            "through half of its frames; give a clip with more texture, a finer grid, or another "
            "tracker"
        )
    return tracks
