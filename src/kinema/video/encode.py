"""Write a video file, whole or not at all."""

import errno
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray
from torch import Tensor

from kinema.errors import InputError
from kinema.files import replacing
from kinema.video.palette import nearest_colours, shared_palette
from kinema.video.pixels import as_bytes, checked_video

_SUFFIXES = (".mp4", ".gif")
# A second; GIF counts in hundredths of it.
MOST_GIF_FRAMES = 100
# A frame is shown for 655.35 seconds at most.
_LEAST_GIF_FRAMES = Fraction(1, 625)
# Either way; H.264's encoder and GIF's header end there.
_MOST_PIXELS = {".mp4": 16384, ".gif": 65535}


def gif_rate(frames_per_second: float) -> float:
    """Return the rate that a GIF can have nearest to another."""
    return min(max(frames_per_second, float(_LEAST_GIF_FRAMES)), MOST_GIF_FRAMES)


def video_suffix(path: Path) -> str:
    """Return the suffix of a file that `write_video` can write, for those who must know before.

    Raises:
        InputError: it is another, or `path` is a folder.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise InputError(
            f"{path} has the suffix {suffix!r}, expected one of {', '.join(_SUFFIXES)}"
        )
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected the name of a file to write")
    return suffix


def write_video(
    path: str | Path, video: Tensor, *, frames_per_second: float, quality: int = 18
) -> None:
    """Write an MP4 (H.264) or a GIF, by the suffix of `path`.

    MP4 is yuv420p in BT.709 colours, tagged so, with its index in front for the web. It needs
    even sides: an odd picture gets its last row or column once more, so that nothing is scaled
    or lost. GIF keeps odd sizes, has one palette of 256 colours, and rounds its times to
    hundredths of a second (the whole keeps its length).

    Args:
        path: where to; what stands there is replaced only when the new file is complete.
        video: `(T, C, H, W)`, RGB or grey, float in [0, 1] (clipped) or uint8.
        frames_per_second: the constant rate.
        quality: the constant rate factor of H.264, 0 (best, large) to 51. Unused for GIF.

    Raises:
        InputError: an argument cannot be used, or the folder cannot be written to.
        OSError: the file cannot be written, with the system's errno, such as a full disk.
    """
    path = Path(path)
    suffix = video_suffix(path)
    video = checked_video(video)
    if not (math.isfinite(frames_per_second) and frames_per_second > 0):
        raise InputError(f"frames_per_second is {frames_per_second}, expected a positive number")
    if not 0 <= quality <= 51:
        raise InputError(f"quality is {quality}, expected 0 (best) to 51")
    rate = Fraction(frames_per_second).limit_denominator(1001)
    if rate <= 0 or (suffix == ".gif" and not _LEAST_GIF_FRAMES <= rate <= MOST_GIF_FRAMES):
        raise InputError(
            f"frames_per_second is {frames_per_second}, expected 0.001 or more, and from "
            f"{float(_LEAST_GIF_FRAMES)} to {MOST_GIF_FRAMES} in a GIF"
        )
    most = _MOST_PIXELS[suffix]
    if max(video.shape[-2:]) > most:
        raise InputError(
            f"the video is {video.shape[-1]} pixels wide and {video.shape[-2]} high, expected at "
            f"most {most} either way in a {suffix} file; make it smaller"
        )
    with replacing(path) as temporary:
        try:
            if suffix == ".mp4":
                _write_mp4(temporary, video, rate, quality)
            else:
                _write_gif(temporary, video, rate)
            _verify(temporary, len(video))
        except (av.error.FFmpegError, OSError) as error:
            # FFmpeg has numbers of its own, which the system would not know.
            number = error.errno if error.errno in errno.errorcode else errno.EIO
            raise OSError(
                number, f"cannot write the video: {error.strerror or error}", str(path)
            ) from error


def _write_mp4(path: Path, video: Tensor, rate: Fraction, quality: int) -> None:
    height, width = (side + side % 2 for side in video.shape[-2:])
    with av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(quality)}
        context = stream.codec_context
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        for index, picture in enumerate(_pictures(video)):
            odd_rows, odd_columns = height - picture.shape[0], width - picture.shape[1]
            picture = np.pad(picture, ((0, odd_rows), (0, odd_columns), (0, 0)), mode="edge")
            frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
            frame.pts, frame.time_base = index, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _write_gif(path: Path, video: Tensor, rate: Fraction) -> None:
    palette = shared_palette(video)
    time_base = Fraction(1, MOST_GIF_FRAMES)
    with av.open(f"file:{path}", "w", format="gif") as output:
        stream = output.add_stream("gif", rate=rate)
        stream.height, stream.width = video.shape[-2:]
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = time_base
        for index, picture in enumerate(_pictures(video)):
            pixels: Any = (nearest_colours(picture, palette), palette.argb)
            frame = VideoFrame.from_ndarray(pixels, format="pal8")
            # Rounding the time, not the delay, keeps the whole at its length.
            frame.pts = round(index * MOST_GIF_FRAMES / rate)
            frame.time_base = time_base
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def _pictures(video: Tensor) -> Iterator[NDArray[np.uint8]]:
    """Each frame as contiguous `(H, W, 3)`."""
    for frame in video:
        rgb = as_bytes(frame).expand(3, -1, -1)
        yield rgb.permute(1, 2, 0).contiguous().numpy()


def _verify(path: Path, num_frames: int) -> None:
    """Count what was written: a full disk may pass unnoticed in the last buffer."""
    with av.open(f"file:{path}") as written:
        num_written = sum(packet.size > 0 for packet in written.demux(video=0))
    if num_written != num_frames:
        raise OSError(errno.EIO, f"{num_written} of {num_frames} frames arrived")
