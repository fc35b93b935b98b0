"""Decode chosen frames with PyAV."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from kinema.video.container import damaged, open_video
from kinema.video.packets import PacketTable
from kinema.video.picture import Orientation, orientation_of, rgb_picture

# A seek empties the decoder and moves in the file; below this gain reading on is cheaper.
_FRAMES_WORTH_A_SEEK = 8


class FewerFramesError(Exception):
    """Decoding ended before the last frame that the packets promised."""

    def __init__(self, num_frames: int) -> None:
        super().__init__(num_frames)
        self.num_frames = num_frames


class _LostPlaceError(Exception):
    """The frames did not carry the timestamps of the table."""


def decode_chosen(
    path: Path, table: PacketTable, wanted: Sequence[int], *, may_seek: bool = True
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield `(index, (H, W, 3) RGB picture)` for ascending, distinct indices.

    One frame is held at a time. A seek is made only where a keyframe lies between the frame
    just read and the next one wanted, and only where timestamps name frames surely. What it
    gives is checked against them; on any doubt the video is read through instead, which may
    yield an index a second time, with the right picture.

    Raises:
        FewerFramesError: the video ended before the last index.
        InputError: a packet cannot be decoded.
    """
    if may_seek and table.timestamps is not None:
        try:
            with open_video(path) as (container, stream):
                yield from _with_seeks(path, container, stream, table, wanted)
            return
        except _LostPlaceError:
            pass
    with open_video(path) as (container, stream):
        yield from _read_through(path, container, stream, wanted)


def _read_through(
    path: Path, container: InputContainer, stream: VideoStream, wanted: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Count the frames as they come."""
    remaining = iter(wanted)
    target = next(remaining, None)
    index = -1
    orientation = Orientation()
    for index, frame in enumerate(_frames(path, container, stream)):
        if index == 0:
            orientation = orientation_of(frame)
        if index == target:
            yield index, rgb_picture(frame, orientation)
            target = next(remaining, None)
            if target is None:
                return
    raise FewerFramesError(index + 1)


def _with_seeks(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    table: PacketTable,
    wanted: Sequence[int],
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Name the frames by their timestamps, and skip to keyframes."""
    frames = _frames(path, container, stream)
    frame, index = _named(next(frames, None), table)
    if index != 0:
        raise _LostPlaceError
    orientation = orientation_of(frame)
    for target in wanted:
        keyframe, position = table.entry_before(target)
        sought = keyframe > index + _FRAMES_WORTH_A_SEEK
        if sought:
            container.seek(position, stream=stream, backward=True)
            frames = _frames(path, container, stream, after_seek=True)
        while index < target:
            frame, found = _named(next(frames, None), table)
            # In front of the keyframe a decoder may drop frames; behind it none may be missing.
            if found > target or (not sought and found != index + 1):
                raise _LostPlaceError
            index = found
            sought = sought and index < keyframe
        yield target, rgb_picture(frame, orientation)


def _named(frame: VideoFrame | None, table: PacketTable) -> tuple[VideoFrame, int]:
    """The frame and its index."""
    index = table.index_at(frame.pts) if frame is not None else None
    if frame is None or index is None:
        raise _LostPlaceError
    return frame, index


def _frames(
    path: Path, container: InputContainer, stream: VideoStream, *, after_seek: bool = False
) -> Iterator[VideoFrame]:
    """Every frame from here on, in order of presentation."""
    num_frames, num_whole = 0, 0
    at_entry = after_seek
    for packet in container.demux(stream):
        if at_entry and not packet.is_keyframe:
            raise _LostPlaceError
        at_entry = False
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            # A recording that starts between keyframes has a few packets that lead nowhere.
            if num_frames == 0:
                continue
            raise damaged(path, f"decoding stops after {num_frames} frames") from error
        for frame in frames:
            # The decoder paints over what it lost. Without a beginning it may do so; later on
            # the file is damaged, and every frame up to the next keyframe would be wrong.
            if frame.is_corrupt and after_seek:
                raise _LostPlaceError
            if frame.is_corrupt and num_whole:
                raise damaged(path, f"parts of frame {num_frames} are lost")
            num_frames += 1
            num_whole += not frame.is_corrupt
            yield frame
