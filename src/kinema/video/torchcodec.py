"""Decode chosen frames with torchcodec, where it is installed and gives the same frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from kinema.errors import InputError
from kinema.video.container import damaged
from kinema.video.packets import PacketTable

# torchcodec brings another FFmpeg than PyAV. Their frames are identical where the standard fixes
# every bit (MPEG-4 part 2 leaves the cosine transform open, and differs by 1 or 2 levels) and for
# 8-bit YUV (deeper formats are converted differently, and transparency is dropped).
_EXACT_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})
_EXACT_PIXEL_FORMATS = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p"}
)
_FRAMES_AT_ONCE = 16


def is_available() -> bool:
    """Whether torchcodec imports here, its FFmpeg libraries included."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def gives_the_same_frames(context: VideoCodecContext, table: PacketTable) -> bool:
    """Whether torchcodec decodes such a video to the very frames that PyAV gives."""
    return (
        context.codec.canonical_name in _EXACT_CODECS
        and context.pix_fmt in _EXACT_PIXEL_FORMATS
        # The last, half-covered column of colours of an odd width is converted differently.
        and context.width % 2 == context.height % 2 == 0
        # Interlaced colours too. 0 is unknown, 1 progressive.
        and context.field_order in (0, 1)
        and table.timestamps is not None
    )


def decode_chosen(
    path: Path, table: PacketTable, wanted: Sequence[int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield `(index, (H, W, 3) RGB picture)` for ascending, distinct indices.

    Raises:
        InputError: torchcodec is not installed or cannot decode the video.
    """
    try:
        from torchcodec.decoders import VideoDecoder
    except (ImportError, OSError, RuntimeError) as error:
        raise InputError(
            "torchcodec does not import here; install kinema[torchcodec] and FFmpeg, or use "
            'backend="pyav"'
        ) from error
    try:
        decoder = VideoDecoder(str(path), dimension_order="NHWC", seek_mode="exact")
        if len(decoder) != table.num_frames:
            raise damaged(
                path, f"torchcodec finds {len(decoder)} frames in {table.num_frames} packets"
            )
        for start in range(0, len(wanted), _FRAMES_AT_ONCE):
            some = list(wanted[start : start + _FRAMES_AT_ONCE])
            pictures = decoder.get_frames_at(indices=some).data.numpy()
            yield from zip(some, pictures, strict=True)
    except (RuntimeError, IndexError) as error:
        raise damaged(path, f"torchcodec cannot decode it ({str(error)[:100]})") from error
