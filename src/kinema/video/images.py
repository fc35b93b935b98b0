"""A clip from single images."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from kinema.errors import InputError, first_line
from kinema.video.clip import Clip
from kinema.video.decode import checked_indices
from kinema.video.folder import natural_order
from kinema.video.picture import Size, over_black, resized

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})


def read_images(
    images: str | Path | Sequence[str | Path | Image.Image],
    *,
    frames_per_second: float,
    size: Size | None = None,
    indices: Callable[[int], Sequence[int]] | None = None,
) -> Clip:
    """Make a clip of the images of a folder, or of a list of files or PIL images.

    The images of a folder are sorted as people count: `2.png` before `10.png`. Transparency
    lies over black.

    Args:
        images: a folder, or images in order.
        frames_per_second: the rate at which they were taken.
        size: resize to `(height, width)`, or to this shorter side keeping the shape.
        indices: which of them to read, from how many there are; all by default. Others are not
            opened.

    Raises:
        InputError: there is no image, one cannot be read, their sizes differ, or an index is
            none of theirs.
    """
    if not 0 < frames_per_second < math.inf:
        raise InputError(f"frames_per_second is {frames_per_second}, expected a positive number")
    if isinstance(images, str | Path):
        sources: Sequence[str | Path | Image.Image] = image_files(Path(images))
    else:
        sources = list(images)
    if not sources:
        raise InputError("the list of images is empty, expected at least one")
    what = str(images) if isinstance(images, str | Path) else "the list of images"
    everything = range(len(sources))
    taken = torch.tensor(checked_indices(what, indices or range, everything))
    frames: list[torch.Tensor] = []
    for source in (sources[index] for index in taken.tolist()):
        frame = resized(torch.from_numpy(_rgb(source)).permute(2, 0, 1), size)
        if frames and frame.shape != frames[0].shape:
            name = f"image {len(frames)}" if isinstance(source, Image.Image) else str(source)
            raise InputError(
                f"{name} has {frame.shape[2]}x{frame.shape[1]} pixels and the first image "
                f"{frames[0].shape[2]}x{frames[0].shape[1]}; give a size to bring all images to"
            )
        frames.append(frame)
    return Clip(
        frames=torch.stack(frames),
        seconds=taken.to(torch.float64) / frames_per_second,
        indices=taken,
        frames_per_second=float(frames_per_second),
    )


def image_files(folder: Path) -> list[Path]:
    """Return the images of a folder, sorted as people count.

    Raises:
        InputError: it is no folder, or holds no image.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder, expected a folder of images; check the path")
    images = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    if not images:
        raise InputError(
            f"{folder} holds no image, expected files with one of the suffixes "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return sorted(images, key=natural_order)


def _rgb(source: str | Path | Image.Image) -> np.ndarray:
    """`(H, W, 3)` uint8, upright."""
    if isinstance(source, Image.Image):
        return _upright(source, "an image")
    try:
        with Image.open(source) as image:
            return _upright(image, str(source))
    except FileNotFoundError as error:
        raise InputError(f"{source} does not exist, expected an image; check the path") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{source} is not an image that can be read ({first_line(error)}); replace or remove it"
        ) from error


def _upright(image: Image.Image, name: str) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits at the 255 that 8 bits end at.
        image = Image.fromarray(
            ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        )
    elif image.mode in ("I", "F"):
        raise InputError(
            f"{name} has 32 bits a pixel and does not say which of their values is white; save it "
            "with 8 or 16"
        )
    return over_black(np.asarray(image.convert("RGBA")))
