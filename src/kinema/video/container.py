"""Open a video file, or say in one sentence why it cannot be opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from kinema.errors import InputError
from kinema.video.truncation import refuse_truncated

# FFmpeg would draw a text file as the terminal art of the nineties.
_NOT_VIDEO_FORMATS = {"tty"}


def checked_video_path(path: str | Path) -> Path:
    """Return `path` where it is a file with something in it.

    Raises:
        InputError: it does not exist, is a folder, or is empty.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(
            f"{path} is a folder, expected one video file; "
            "find_videos lists the videos of a folder, read_images reads a folder of images"
        )
    if not path.exists():
        raise InputError(f"{path} does not exist, expected a video file; check the path")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes), expected a video; copy or download it again")
    return path


@contextmanager
def open_video(path: str | Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the first video stream of a file, with one-thread-per-slice decoding.

    Raises:
        InputError: there is no such file, it is not a video, it is cut off or has no picture.
    """
    path = checked_video_path(path)
    try:
        refuse_truncated(path)
        # "file:" keeps FFmpeg from taking "12:30.mp4" for a protocol. Titles in old AVI files
        # are often not UTF-8.
        container = av.open(f"file:{path}", metadata_errors="replace")
    except PermissionError as error:
        raise InputError(f"{path} may not be read by this user; change its permissions") from error
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(
            f"{path} is not a video that FFmpeg can read ({_reason(error)}); "
            "expected a file such as .mp4, .avi, .mkv, .webm, .mov or .gif"
        ) from error
    with container:
        yield container, _picture_stream(path, container)


def average_rate(container: InputContainer, stream: VideoStream) -> float | None:
    """Frames per second as the header has it, None where it does not say."""
    # FFmpeg guesses a GIF's rate from its first delays, which are rounded to hundredths.
    if container.format.name == "gif" and stream.frames and stream.duration and stream.time_base:
        return float(stream.frames / (stream.duration * stream.time_base))
    # FFmpeg's guess, where nothing is said, may be no more than the unit of the times.
    return float(stream.average_rate) if stream.average_rate else None


def damaged(path: Path, detail: str) -> InputError:
    """The error for a file whose pictures do not decode."""
    return InputError(
        f"{path} is damaged: {detail}; copy or download it again, or repair it with "
        "`ffmpeg -i DAMAGED REPAIRED.mp4`"
    )


def _picture_stream(path: Path, container: InputContainer) -> VideoStream:
    if container.format.name in _NOT_VIDEO_FORMATS:
        raise InputError(f"{path} is a text file, expected a video; check the path")
    # The cover picture of a song counts as a video stream in FFmpeg.
    covers = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        raise InputError(f"{path} has no pictures (sound only), expected a video; check the path")
    stream = streams[0]
    try:
        # PyAV's automatic threads are slow on small files and can hang in loader workers.
        stream.thread_type = "SLICE"
    except AttributeError as error:
        raise InputError(
            f"{path} holds a video that no decoder here can read; re-encode it as H.264"
        ) from error
    return stream


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
