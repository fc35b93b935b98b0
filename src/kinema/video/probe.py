"""What a video is, from its header and first frame."""

from dataclasses import dataclass
from pathlib import Path

import av

from kinema.video.container import average_rate, damaged, open_video
from kinema.video.packets import scan_packets
from kinema.video.picture import orientation_of


@dataclass(frozen=True)
class VideoInfo:
    """Facts of a video file.

    Attributes:
        path: the file.
        width: pixels, of the upright picture.
        height: pixels, of the upright picture.
        num_frames: as the header says, None where it does not. It may say too many, as in AVI files
            with packed B-frames and in trimmed MP4 files; `count_frames` counts.
        frames_per_second: average rate.
        duration_seconds: None where the container does not say.
        codec: FFmpeg's name, such as "h264".
        pixel_format: FFmpeg's name, such as "yuv420p".
        rotation_degrees: counter-clockwise turn that makes the stored picture upright: 0, 90,
            180 or 270. `read_video` applies it.
        has_audio: whether there is sound.
    """

    path: Path
    width: int
    height: int
    num_frames: int | None
    frames_per_second: float
    duration_seconds: float | None
    codec: str
    pixel_format: str
    rotation_degrees: int
    has_audio: bool


def probe(path: str | Path) -> VideoInfo:
    """Read the header and the first frame of a video; and all its times where they say the rate.

    Raises:
        InputError: there is no such file, it is not a video, it is cut off, or its first frame
            cannot be decoded.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        duration: float | None = None
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / av.time_base
        try:
            frame = next(container.decode(stream), None)
        except av.error.FFmpegError as error:
            raise damaged(path, "its first frame cannot be decoded") from error
        if frame is None:
            raise damaged(path, "no frame of it can be decoded")
        orientation = orientation_of(frame)
        width, height = frame.width, frame.height
        if orientation.transposed:
            width, height = height, width
        return VideoInfo(
            path=path,
            width=width,
            height=height,
            num_frames=stream.frames or None,
            frames_per_second=average_rate(container, stream) or _rate_by_times(path),
            duration_seconds=duration,
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=frame.format.name,
            rotation_degrees=orientation.degrees,
            has_audio=bool(container.streams.audio),
        )


def _rate_by_times(path: Path) -> float:
    with open_video(path) as (container, stream):
        return scan_packets(path, container, stream).frames_per_second
