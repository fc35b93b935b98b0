"""The clip that a motion is learned from, in the length and size that the model makes."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.video import read_images, read_video, uniform_indices
from kinema.video.images import IMAGE_SUFFIXES, image_files
from kinema.video.pixels import as_floats, checked_video

logger = logging.getLogger(__name__)

Video = str | Path | Sequence[Image.Image] | Tensor
"""A file, a folder of frames, a list of images, or `(T, C, H, W)` in [0, 1]."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A clip to learn from.

    Attributes:
        video: `(T, 3, H, W)` float32 in [0, 1].
        frames_per_second: of these frames, where it is known.
        sha256: of the file, or of the frames as given where there was no file.
        fitted: one sentence on what was done to length and size.
    """

    video: Tensor
    frames_per_second: float | None
    sha256: str
    fitted: str


def read_reference(
    video: Video,
    *,
    num_frames: int,
    size: tuple[int, int],
    fixed_length: bool = False,
    frames_per_second: float | None = None,
) -> Reference:
    """Read a clip and fit it: frames spread evenly over it, scaled to cover `size` and cropped.

    Args:
        video: a file, a folder of frames, a list of images, or a tensor `(T, C, H, W)`, uint8 or
            float in [0, 1].
        num_frames: how many frames the model takes; a shorter clip keeps those it has.
        size: height and width in pixels.
        fixed_length: the model takes exactly `num_frames`.
        frames_per_second: of what was given, where it is no file that says so.

    Raises:
        InputError: it is a single image, has fewer than 2 frames, or fewer than the model must
            have; or it cannot be read.
    """
    if num_frames < 2:
        raise InputError(f"num_frames is {num_frames}; expected 2 or more, or nothing moves")
    given = _given(video, num_frames, frames_per_second)
    name, total = given.name, given.num_frames
    if total < 2:
        raise InputError(
            f"{name} has {total} frame; a motion needs 2 or more: give a video, not a picture"
        )
    if fixed_length and total < num_frames:
        raise InputError(
            f"{name} has {total} frames and this model takes {num_frames}, no fewer; give a longer "
            "clip"
        )
    taken = as_floats(given.chosen)
    if taken.shape[1] == 1:
        taken = taken.expand(-1, 3, -1, -1)
    height, width = taken.shape[-2:]
    fitted = (
        f"{name}: {len(taken)} of {total} frames, {width}x{height} to {size[1]}x{size[0]} pixels"
    )
    logger.info(fitted)
    return Reference(_covering(taken, size), given.frames_per_second, given.sha256, fitted)


@dataclass(frozen=True, eq=False)
class _Given:
    """What was given: its name for messages, its length, and the frames chosen from it."""

    name: str
    num_frames: int
    chosen: Tensor
    frames_per_second: float | None
    sha256: str


def _given(video: Video, wanted: int, frames_per_second: float | None) -> _Given:
    if isinstance(video, Image.Image):
        raise InputError("the video is a single image; give 2 frames or more")
    if isinstance(video, str | Path):
        path = Path(video)
        if path.suffix.lower() in IMAGE_SUFFIXES:
            raise InputError(f"{path} is an image; a motion needs a video, or a folder of frames")
        if not path.is_dir():
            return _from_file(path, wanted)
        return _from_folder(path, wanted, frames_per_second)
    if isinstance(video, Tensor):
        frames = checked_video(video)
        if frames.is_floating_point() and not (frames.min() >= 0 and frames.max() <= 1):
            raise InputError(
                f"the video holds values from {frames.min():.3g} to {frames.max():.3g}; expected "
                "floats in [0, 1], or uint8"
            )
    elif isinstance(video, Sequence):
        frames = read_images(video, frames_per_second=frames_per_second or 1).frames
    else:
        raise InputError(
            f"the video is a {type(video).__name__}; expected a file, a folder of frames, a list "
            "of images or a tensor (T, C, H, W)"
        )
    return _from_frames("the video", frames, wanted, frames_per_second)


def _from_file(path: Path, wanted: int) -> _Given:
    totals: list[int] = []

    def choose(total: int) -> list[int]:
        totals.append(total)
        return _spread(total, wanted)

    clip = read_video(path, indices=choose)  # only the chosen frames are held in memory
    duration = float(clip.seconds[-1] - clip.seconds[0])
    rate = (len(clip) - 1) / duration if duration > 0 else None
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return _Given(str(path), totals[-1], clip.frames, rate, sha256)


def _from_folder(path: Path, wanted: int, rate: float | None) -> _Given:
    # Only the chosen images are opened, as of a file only the chosen frames are kept.
    files = image_files(path)
    clip = read_images(files, frames_per_second=rate or 1, indices=lambda n: _spread(n, wanted))
    digest = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return _Given(
        str(path), len(files), clip.frames, _slowed(rate, clip.indices.tolist()), digest.hexdigest()
    )


def _from_frames(name: str, frames: Tensor, wanted: int, rate: float | None) -> _Given:
    chosen = _spread(len(frames), wanted)
    taken = frames[torch.tensor(chosen)]
    return _Given(name, len(frames), taken, _slowed(rate, chosen), hash_of(frames))


def _slowed(rate: float | None, chosen: Sequence[int]) -> float | None:
    """The frames per second of some of the frames."""
    if rate is None or len(chosen) < 2:
        return rate
    return rate * (len(chosen) - 1) / (chosen[-1] - chosen[0])


def _spread(total: int, wanted: int) -> list[int]:
    return uniform_indices(total, min(total, wanted))


def hash_of(frames: Tensor) -> str:
    """The sha256 of a tensor's numbers, dtype and shape."""
    content = frames.detach().cpu().contiguous()
    digest = hashlib.sha256(f"{content.dtype} {tuple(content.shape)}".encode())
    digest.update(content.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _covering(video: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale until both sides are covered, then cut the middle out."""
    height, width = video.shape[-2:]
    if (height, width) == size:
        return video
    scale = max(size[0] / height, size[1] / width)
    scaled = (max(size[0], round(height * scale)), max(size[1], round(width * scale)))
    video = F.interpolate(video, size=scaled, mode="bilinear", antialias=True).clamp(0, 1)
    top, left = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
    return video[..., top : top + size[0], left : left + size[1]].contiguous()
