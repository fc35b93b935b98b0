"""Clips made with PyAV, frame by frame, so that what should come out is known."""

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

MakeVideo = Callable[..., Path]


def picture(index: int, height: int = 64, width: int = 96) -> np.ndarray:
    """A smooth picture with a red block at the upper left; blue tells the frame."""
    rows, columns = np.mgrid[0:height, 0:width]
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = columns * 200 // max(1, width - 1)
    rgb[..., 1] = rows * 200 // max(1, height - 1)
    rgb[..., 2] = index * 8 % 256
    rgb[: height // 4, : width // 4] = (255, 0, 0)
    return rgb


def encode(
    path: Path,
    *,
    num_frames: int = 12,
    height: int = 64,
    width: int = 96,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: Sequence[int] | None = None,
    ticks_per_second: int = 10,
    options: dict[str, str] | None = None,
    colours: tuple[Colorspace, ColorRange] | None = None,
    rotation: int | None = None,
    alpha: int | None = None,
    container_format: str | None = None,
    **stream_settings: object,
) -> Path:
    """Encode `picture(0)`, `picture(1)` and so on."""
    with av.open(str(path), "w", format=container_format) as output:
        stream = output.add_stream(codec, rate=ticks_per_second, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.time_base = Fraction(1, ticks_per_second)
        for name, value in stream_settings.items():
            setattr(stream.codec_context, name, value)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if colours is not None:
            # The numbers of the tags (1 and 6) are not those of the converter (1 and 5).
            stream.codec_context.colorspace = 1 if colours[0] == Colorspace.ITU709 else 6
            stream.codec_context.color_range = colours[1]
        for index in range(num_frames):
            pixels = picture(index, height, width)
            if alpha is not None:
                pixels = np.dstack([pixels, np.full(pixels.shape[:2], alpha, np.uint8)])
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24" if alpha is None else "rgba")
            space, extent = colours or (None, None)
            frame = frame.reformat(
                format=pixel_format, dst_colorspace=space, dst_color_range=extent
            )
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, ticks_per_second)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def make_video(tmp_path: Path) -> MakeVideo:
    """`make_video("name.mp4", num_frames=..., codec=..., ...)` gives the path of a new clip."""

    def make(name: str = "clip.mp4", **settings: object) -> Path:
        return encode(tmp_path / name, **settings)  # type: ignore[arg-type]

    return make


@pytest.fixture
def expected_picture() -> Callable[..., np.ndarray]:
    return picture


@pytest.fixture
def make_sound(tmp_path: Path) -> Callable[[str], Path]:
    """A file with a second of silence and no picture."""

    def make(name: str) -> Path:
        path = tmp_path / name
        num_samples = 8000
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + 2 * num_samples, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16),
            *(b"data", 2 * num_samples),
        )
        path.write_bytes(header + bytes(2 * num_samples))
        return path

    return make
