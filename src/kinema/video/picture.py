"""One decoded frame to one upright RGB picture of the size asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Orientation:
    """How stored pictures must be turned to stand upright."""

    transposed: bool = False
    flipped_vertically: bool = False
    flipped_horizontally: bool = False

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a `(H, W, C)` picture."""
        if self.transposed:
            picture = picture.swapaxes(0, 1)
        if self.flipped_vertically:
            picture = picture[::-1]
        if self.flipped_horizontally:
            picture = picture[:, ::-1]
        return picture

    @property
    def degrees(self) -> int:
        """Counter-clockwise turn, 0 to 270; a mirrored picture counts its turn only."""
        quarter = self.transposed, self.flipped_vertically, self.flipped_horizontally
        turns = {(True, True, False): 90, (False, True, True): 180, (True, False, True): 270}
        return turns.get(quarter, 0)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix that cameras write when they are held upright."""
    # PyAV's stubs take this for a mapping of strings; it yields side data.
    for data in cast(Iterable[SideData], frame.side_data):
        if data.type == SideDataType.DISPLAYMATRIX:
            # x' = a x + c y, y' = b x + d y, in 16.16 fixed point.
            a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return Orientation(False, d < 0, a < 0)
            return Orientation(True, b < 0, c < 0)
    return Orientation()


def rgb_picture(frame: VideoFrame, orientation: Orientation) -> NDArray[np.uint8]:
    """Convert to upright `(H, W, 3)` RGB; where there is alpha, the picture lies over black."""
    # swscale's thread pool costs more than it gives on pictures of this size.
    if has_alpha(frame):
        picture = over_black(np.asarray(frame.to_ndarray(format="rgba", threads=1), np.uint8))
    else:
        picture = np.asarray(frame.to_ndarray(format="rgb24", threads=1), np.uint8)
    return orientation.apply(picture)


def has_alpha(frame: VideoFrame) -> bool:
    """Whether the frame's pixel format has transparency."""
    return any(component.is_alpha for component in frame.format.components) or (
        frame.format.has_palette
    )


def over_black(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Composite `(H, W, 4)` over black: `(H, W, 3)`."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def resized(pictures: Tensor, size: Size | None) -> Tensor:
    """Resize `(..., C, H, W)` uint8 pictures with an antialiased bilinear filter."""
    if size is None:
        return pictures
    height, width = target_size(pictures.shape[-2:], size)
    if (height, width) == tuple(pictures.shape[-2:]):
        return pictures
    flat = pictures.reshape(-1, *pictures.shape[-3:])
    flat = torch.nn.functional.interpolate(
        flat, size=(height, width), mode="bilinear", antialias=True
    )
    return flat.reshape(*pictures.shape[:-2], height, width)


def target_size(source: Sequence[int], size: Size) -> tuple[int, int]:
    """Height and width for a `(height, width)` source; one number is the shorter side.

    Raises:
        InputError: the size is not one or two positive whole numbers.
    """
    numbers = tuple(size) if isinstance(size, Sequence) else (size,)
    if len(numbers) not in (1, 2) or any(
        isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in numbers
    ):
        raise InputError(
            f"size is {size!r}, expected the shorter side or (height, width) as whole numbers "
            "of at least 1"
        )
    if len(numbers) == 2:
        return numbers[0], numbers[1]
    scale = numbers[0] / min(source)
    return max(1, round(source[0] * scale)), max(1, round(source[1] * scale))
