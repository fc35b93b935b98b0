"""The 256 colours of a GIF."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kinema.video.pixels import as_bytes
from kinema.video.sampling import uniform_indices

_FRAMES_LOOKED_AT = 16
_PIXELS_LOOKED_AT = 1 << 18


@dataclass(frozen=True)
class Palette:
    """Colours shared by all frames, as PIL and as FFmpeg want them.

    Attributes:
        image: a PIL image that carries them.
        argb: `(256, 4)` uint8, alpha first.
    """

    image: Image.Image
    argb: NDArray[np.uint8]


def shared_palette(video: Tensor) -> Palette:
    """Choose the colours of `(T, C, H, W)` by median cut over some of its frames.

    One palette for all frames: with one for each, still areas would flicker.
    """
    num_frames = min(len(video), _FRAMES_LOOKED_AT)
    some = as_bytes(video[uniform_indices(len(video), num_frames)]).expand(-1, 3, -1, -1)
    pixels = some.permute(0, 2, 3, 1).reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // _PIXELS_LOOKED_AT)]
    strip = Image.fromarray(pixels[None].contiguous().numpy())
    image = strip.quantize(colors=256, method=Image.Quantize.MEDIANCUT)
    colours = np.asarray(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    argb = np.zeros((256, 4), np.uint8)
    argb[:, 0] = 255
    argb[: len(colours), 1:] = colours
    return Palette(image, argb)


def nearest_colours(picture: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """Palette index `(H, W)` for each pixel of `(H, W, 3)`, with error diffusion."""
    image = Image.fromarray(picture).quantize(
        palette=palette.image, dither=Image.Dither.FLOYDSTEINBERG
    )
    return np.asarray(image, dtype=np.uint8)
