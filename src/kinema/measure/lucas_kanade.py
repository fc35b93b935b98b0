"""The tracker that is built in: OpenCV's pyramidal Lucas-Kanade.

It follows what has texture. A point on a plain surface has nothing to be followed by and is given
up; one near an edge goes with the edge, along which it may slide.
"""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError
from kinema.measure.tracks import (
    Tracks,
    check_found,
    check_video,
    from_pixels,
    grid_positions,
    to_pixels,
)

_PYRAMID_LEVELS = 3
_LEAST_TEXTURE = 0.02
"""Smaller eigenvalue of a window's gradients, as OpenCV scales it, below which it is plain: such a
window drifts on noise."""


@dataclass(frozen=True)
class LucasKanade:
    """Follows a grid of points of the first frame by pyramidal Lucas-Kanade.

    Each step is tracked forwards and back again. A point that does not come back to where it was,
    leaves the frame or has no texture around it is lost: it is invisible from then on and keeps its
    last position, for what would be found there later is another point.

    J.-Y. Bouguet, Pyramidal implementation of the Lucas Kanade feature tracker, 2000; the check is
    that of Z. Kalal et al., Forward-backward error, ICPR 2010.

    Attributes:
        grid_size: points along each side; 55 is what DMT's motion fidelity takes.
        window: side in pixels of the square that is compared, odd; None for a 16th of the frame's
            shorter side, from 11 to 21.
        largest_return: distance in pixels between a point and where it comes back to, beyond which
            it is lost.

    Raises:
        InputError: OpenCV is not installed, or the window is even or too small.
    """

    grid_size: int = 55
    window: int | None = None
    largest_return: float = 0.5

    def __post_init__(self) -> None:
        if self.window is not None and (self.window < 3 or self.window % 2 == 0):
            raise InputError(f"window is {self.window}; give an odd number of pixels, 3 or more")
        # Now, not after what takes long and ends with tracking.
        _opencv()

    def identity(self) -> dict[str, Any]:
        """Return its name and its settings."""
        return {"name": type(self).__name__, **asdict(self)}

    def __call__(self, video: Tensor, *, clip: str = "the video") -> Tracks:
        """Return the tracks of a video (T, 3, H, W) in [0, 1], one for each point of the grid.

        Raises:
            InputError: OpenCV is not installed, the video is not of that form, or no point can be
                followed through half of the frames; `clip` names it.
        """
        cv2 = _opencv()
        check_video(video, clip=clip)
        height, width = video.shape[2:]
        # LK takes 8 bits a channel, as the frames of a file have.
        frames = (255 * video.detach().float().clamp(0, 1)).round().byte()
        pictures = frames.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        start = to_pixels(
            grid_positions(self.grid_size, height=height, width=width), height=height, width=width
        )
        side = self.window or min(max(11, min(height, width) // 16 | 1), 21)
        options = {
            "winSize": (side, side),
            "maxLevel": _PYRAMID_LEVELS,
            "minEigThreshold": _LEAST_TEXTURE,
        }
        places = [start.numpy()]
        seen = [np.ones(len(start), dtype=bool)]
        for before, after in pairwise(pictures):
            place, alive = places[-1].copy(), seen[-1].copy()
            if alive.any():
                there, ahead = _follow(cv2, before, after, place[alive], options)
                back, behind = _follow(cv2, after, before, there, options)
                returned = np.linalg.norm(back - place[alive], axis=1) <= self.largest_return
                inside = ((there >= 0) & (there <= (width - 1, height - 1))).all(axis=1)
                held = ahead & behind & returned & inside
                alive[alive] = held
                place[alive] = there[held]
            places.append(place)
            seen.append(alive)
        position = from_pixels(
            torch.from_numpy(np.stack(places, axis=1)), height=height, width=width
        )
        return check_found(Tracks(position, torch.from_numpy(np.stack(seen, axis=1))), clip=clip)


def _follow(
    cv2: Any,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    place: NDArray[np.float32],
    options: dict[str, Any],
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return where points (N, 2) of one frame are in another, and which of them were found (N,)."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, place[:, None], None, **options)
    return there[:, 0], found[:, 0].astype(bool)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            "tracking by Lucas-Kanade needs OpenCV; install kinema[measure]"
        ) from error
    return cv2
