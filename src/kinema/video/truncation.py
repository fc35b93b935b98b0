"""Files that end before they should.

FFmpeg reads what is left of a cut-off file and says nothing, which would turn half a download
into a shorter video. The three common containers state their own length; this compares it with
the length of the file.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from kinema.errors import InputError

_EBML_HEADER = b"\x1a\x45\xdf\xa3"
_MATROSKA_SEGMENT = b"\x18\x53\x80\x67"
_MP4_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_MP4_LATER_BOXES = {b"moof", b"mfra", b"sidx", b"ssix", b"styp", b"emsg", b"meta", b"uuid", b"prft"}


def refuse_truncated(path: Path) -> None:
    """Raise where an MP4, AVI or Matroska file is shorter than it says.

    Raises:
        InputError: the file is cut off, or is an MP4 without its index (moov).
    """
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        promised = num_bytes
        if head[4:8] in _MP4_FIRST_BOXES:
            promised, has_index = _mp4_extent(file, num_bytes)
            if not has_index:
                raise InputError(
                    f"{path} has lost its index (the moov box), so its recording or copying was "
                    "cut off; copy or download it again"
                )
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            (size,) = struct.unpack("<I", head[4:8])
            # 0 and the largest number are left by recorders that could not know the size.
            if size not in (0, 0xFFFFFFFF):
                # Without the 8 bytes of the header, which some writers count in.
                promised = size
        elif head[:4] == _EBML_HEADER:
            promised = _matroska_extent(file, num_bytes)
    # RIFF chunks are padded to even lengths, which some writers forget for the last one.
    if promised > num_bytes + 1:
        raise InputError(
            f"{path} is cut off: it should have {promised} bytes or more and has {num_bytes}; copy "
            "or download it again"
        )


def _mp4_extent(file: BinaryIO, num_bytes: int) -> tuple[int, bool]:
    """Where the last top-level box ends, and whether an index was among them."""
    position, has_index = 0, False
    while position + 8 <= num_bytes:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            large = file.read(8)
            if len(large) < 8:
                return position + 16, has_index
            (size,) = struct.unpack(">Q", large)
        elif size == 0:
            size = num_bytes - position
        if kind in (b"moov", b"moof"):
            has_index = True
        elif kind not in _MP4_FIRST_BOXES | _MP4_LATER_BOXES and (
            has_index or not 8 <= size <= num_bytes - position
        ):
            # What follows the index, or is no box at all, is not ours to judge.
            return position, has_index
        if size < 8:
            return position, has_index
        position += size
    return position, has_index


def _matroska_extent(file: BinaryIO, num_bytes: int) -> int:
    """Where the segment of a Matroska or WebM file ends; the file's end where it does not say."""
    file.seek(4)
    header_size = _matroska_size(file)
    if header_size is None:
        return num_bytes
    file.seek(header_size, 1)
    if file.read(4) != _MATROSKA_SEGMENT:
        return num_bytes
    segment_size = _matroska_size(file)
    return num_bytes if segment_size is None else file.tell() + segment_size


def _matroska_size(file: BinaryIO) -> int | None:
    """Read a variable-length size; None where it is the reserved "unknown"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    length = 9 - first[0].bit_length()
    value = first[0] & ((1 << (8 - length)) - 1)
    for byte in file.read(length - 1):
        value = value << 8 | byte
    unknown = value == (1 << (7 * length)) - 1
    return None if unknown else value
