"""Read a video, whole or some of its frames."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError
from kinema.video import pyav, torchcodec
from kinema.video.clip import Clip
from kinema.video.container import damaged, open_video
from kinema.video.packets import PacketTable, scan_packets
from kinema.video.picture import Size, resized, target_size
from kinema.video.sampling import uniform_indices

Indices = Sequence[int] | Callable[[int], Sequence[int]]
Backend = Literal["auto", "pyav", "torchcodec"]


def read_video(
    path: str | Path,
    *,
    indices: Indices | None = None,
    num_frames: int | None = None,
    size: Size | None = None,
    start: float | None = None,
    end: float | None = None,
    backend: Backend = "auto",
) -> Clip:
    """Read all frames of a video, or chosen ones.

    Frames stand upright (the rotation that cameras note is applied), transparency lies over
    black, and colours follow the matrix and range that the file names. Only the frames that are
    returned are held in memory. An animated GIF is a video too.

    Args:
        path: a video file.
        indices: frames to read, in any order, repeats allowed; or a function that gives them
            from the number of frames, such as `lambda n: strided_indices(n, 16, stride=4)`.
        num_frames: frames to read, spread evenly (`uniform_indices`); a video with fewer
            repeats its last frame.
        size: resize to `(height, width)`, or to this shorter side keeping the shape.
        start, end: seconds from the first frame; only frames with start <= t < end, by their own
            times, are seen, and `indices` and `num_frames` are of these alone.
        backend: "auto" is "pyav". "torchcodec" decodes with torchcodec what it decodes to
            identical frames (H.264, HEVC, VP8, VP9, AV1 in 8 bits, progressive, with even
            sides), the rest with PyAV.

    Returns:
        The clip; its frames are `(T, 3, H, W)` uint8, its indices and seconds those of the file.

    Raises:
        InputError: there is no such video, it is cut off or damaged, it has fewer frames than
            the indices say or none between start and end, or an argument is out of range.
    """
    path = Path(path)
    if backend not in ("auto", "pyav", "torchcodec"):
        raise InputError(f'backend is {backend!r}, expected "auto", "pyav" or "torchcodec"')
    if indices is not None and num_frames is not None:
        raise InputError("both indices and num_frames are given, expected one of them")
    if num_frames is not None:
        indices = partial(uniform_indices, num_frames=num_frames)
    elif indices is None:
        indices = range
    if size is not None:
        target_size((1, 1), size)

    with open_video(path) as (container, stream):
        table = scan_packets(path, container, stream)
        use_torchcodec = backend == "torchcodec" and torchcodec.gives_the_same_frames(
            stream.codec_context, table
        )
    decode = torchcodec.decode_chosen if use_torchcodec else pyav.decode_chosen

    part = partial(_part, path, table, start=start, end=end)
    chosen = checked_indices(str(path), indices, part(table.num_frames))
    try:
        frames = _collect(path, chosen, size, decode(path, table, sorted(set(chosen))))
    except pyav.FewerFramesError as fewer:
        # The packets promised frames that no decoder shows, such as those in front of the first
        # keyframe. Choose again among the ones that exist.
        if fewer.num_frames == 0:
            raise damaged(path, "no frame of it can be decoded") from None
        chosen = checked_indices(str(path), indices, part(fewer.num_frames))
        pictures = pyav.decode_chosen(path, table, sorted(set(chosen)), may_seek=False)
        frames = _collect(path, chosen, size, pictures)
    return Clip(
        frames=frames,
        seconds=torch.tensor([table.seconds(i) for i in chosen], dtype=torch.float64),
        indices=torch.tensor(chosen, dtype=torch.int64),
        frames_per_second=table.frames_per_second,
    )


def _part(
    path: Path, table: PacketTable, num_frames: int, *, start: float | None, end: float | None
) -> range:
    part = table.between(num_frames, start, end)
    if not part:
        raise InputError(
            f"{path} has {num_frames} frames at {table.frames_per_second:g} a second, and none "
            f"from {start or 0.0:g} s to {'its end' if end is None else f'{end:g} s'}; check the "
            "video and the times"
        )
    return part


def checked_indices(name: str, indices: Indices, part: range) -> list[int]:
    """Return which frames of `part` of a clip of that name are asked for.

    Raises:
        InputError: none, or one that is not there.
    """
    num_frames = len(part)
    chosen = [int(i) for i in (indices(num_frames) if callable(indices) else indices)]
    if not chosen:
        raise InputError(f"no frames of {name} are asked for, expected at least one index")
    wrong = [i for i in chosen if not 0 <= i < num_frames]
    if wrong:
        raise InputError(
            f"{name} has {num_frames} frames, so index {wrong[0]} is not one of them; "
            f"expected 0 to {num_frames - 1}"
        )
    return [part[i] for i in chosen]


def _collect(
    path: Path,
    chosen: list[int],
    size: Size | None,
    pictures: Iterator[tuple[int, NDArray[np.uint8]]],
) -> Tensor:
    """Lay the pictures, which come in ascending order, where they were asked for."""
    places: dict[int, list[int]] = {}
    for place, index in enumerate(chosen):
        places.setdefault(index, []).append(place)
    frames: Tensor | None = None
    for index, picture in pictures:
        frame = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
        frame = resized(frame, size)
        if frames is None:
            frames = torch.empty((len(chosen), *frame.shape), dtype=torch.uint8)
        if frame.shape != frames.shape[1:]:
            raise InputError(
                f"{path} changes its picture size at frame {index}; give a size to bring all "
                "frames to"
            )
        for place in places[index]:
            frames[place] = frame
    assert frames is not None
    return frames
