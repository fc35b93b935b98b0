"""From decoded frames to what a backbone takes: size, crop, flip and normalisation of a clip.

kornia's video containers draw once for all frames of a clip. Resizing and cropping come before
them, on bytes: kornia works in float, which would cost four times the memory traffic for pixels
that a crop throws away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from kinema.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Brings the frames of a clip to size and normalises them; made by `augmentation`.

    Attributes:
        size: side of the square crop.
        short_side: least and greatest shorter side to which frames are resized before.
        flip: whether half of the clips are mirrored, in training.
        training: random crops instead of fixed ones.
        num_crops: of evaluation: 1 centre, 2 both ends, 3 both ends and centre.
        container: kornia's, for what acts on the pixels of a crop.
    """

    size: int
    short_side: tuple[int, int]
    flip: bool
    training: bool
    num_crops: int
    container: Any = field(repr=False, compare=False)

    def draw_short_side(self, generator: Generator) -> int:
        """The shorter side to which the frames of a clip are to be resized, in pixels."""
        low, high = self.short_side
        return int(torch.randint(low, high + 1, (), generator=generator))

    def __call__(self, frames: Tensor, generator: Generator) -> Tensor:
        """Crop, mirror and normalise.

        Args:
            frames: `(T, 3, H, W)` uint8, both sides at least `size`.
            generator: of the randomness; one draw serves all frames.

        Returns:
            `(K, T, 3, size, size)` float32, normalised; K is `num_crops`, 1 in training.
        """
        corners = self._corners(frames.shape[-2], frames.shape[-1], generator)
        crops = torch.stack([frames[..., y : y + self.size, x : x + self.size] for y, x in corners])
        # kornia draws from the global generator, which belongs to the caller.
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would seed accelerators too and not be undone there.
            torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            prepared: Tensor = self.container(crops.to(torch.float32))
        return prepared

    def _corners(self, height: int, width: int, generator: Generator) -> list[tuple[int, int]]:
        """Upper left corner (y, x) of each crop."""
        free = torch.tensor((height - self.size, width - self.size))
        if self.training:
            y, x = (int(torch.randint(int(room) + 1, (), generator=generator)) for room in free)
            return [(y, x)]
        shares = {1: (0.5,), 2: (0.0, 1.0), 3: (0.0, 0.5, 1.0)}[self.num_crops]
        # Along the longer side; across, they lie in the middle.
        y, x = (int(room) // 2 for room in free)
        if width >= height:
            return [(y, int(share * int(free[1]))) for share in shares]
        return [(int(share * int(free[0])), x) for share in shares]


def augmentation(
    *,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    training: bool,
    short_side: tuple[int, int] | None = None,
    flip: bool = True,
    num_crops: int = 1,
) -> Augmentation:
    """Make the augmentation of training, or the fixed crops of evaluation.

    Args:
        size: side of the square crop, pixels.
        mean: of the channels, for frames in [0, 1].
        std: likewise.
        training: whether to draw at random.
        short_side: least and greatest shorter side in training; by default 8/7 to 10/7 of
            `size`, which is 256 to 320 for 224. In evaluation it is `size`.
        flip: mirror half of the clips in training. Off where left and right make classes.
        num_crops: in evaluation: 1 centre, 2 both ends of the longer side, 3 both and centre.

    Raises:
        InputError: an argument is out of range, or kornia is not installed.
    """
    try:
        import kornia.augmentation as K
    except ImportError as error:
        raise InputError("augmentation needs kornia; install kinema[recognition]") from error
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise InputError(f"size is {size!r}, expected the side of the crop, 1 pixel or more")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise InputError(
            f"mean is {tuple(mean)} and std {tuple(std)}, expected three numbers each, std above 0"
        )
    if num_crops not in (1, 2, 3) or (training and num_crops != 1):
        raise InputError(f"num_crops is {num_crops}, expected 1 in training, else 1, 2 or 3")
    low, high = (round(size * 8 / 7), round(size * 10 / 7)) if short_side is None else short_side
    if not training:
        low = high = size
    if not size <= low <= high:
        raise InputError(
            f"short_side is {(low, high)}, expected least and greatest, both at least the size of "
            f"the crop, {size}"
        )
    mirror = [K.RandomHorizontalFlip(p=0.5)] if training and flip else []
    # The frames are bytes, and to divide by 255 first would be one more pass over them.
    scaled = K.Normalize(mean=255 * torch.tensor(mean), std=255 * torch.tensor(std))
    container = K.VideoSequential(*mirror, scaled, data_format="BTCHW", same_on_frame=True)
    return Augmentation(size, (low, high), flip, training, num_crops, container)
