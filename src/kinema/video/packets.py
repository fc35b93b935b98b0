"""The table of a video's packets: how many pictures there are, when, and where one can enter.

Reading packets without decoding them costs little more than reading the file, and it is the
only count to trust: headers of AVI files count placeholders, Matroska headers count nothing.
"""

import bisect
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from kinema.video.container import average_rate, damaged, open_video

# Times that were frame numbers once must come back as them, in spite of rounding. In frames.
_SLACK = 1e-3


@dataclass(frozen=True)
class PacketTable:
    """What the packets of a video say about its frames, in order of presentation.

    Attributes:
        num_frames: packets that carry a picture. Decoding may give fewer, never more.
        timestamps: ascending, one for each frame; None where the container's own cannot be
            trusted to name frames (B-frames packed into AVI, a start without keyframe).
        keyframes: index of each keyframe.
        keyframe_positions: the timestamp at which to seek for each keyframe.
        time_base: seconds in one unit of the timestamps.
        frames_per_second: average rate.
    """

    num_frames: int
    timestamps: list[int] | None
    keyframes: list[int]
    keyframe_positions: list[int]
    time_base: Fraction
    frames_per_second: float

    def seconds(self, index: int) -> float:
        """Time of a frame, counted from the first."""
        if self.timestamps is None:
            return index / self.frames_per_second
        return float((self.timestamps[index] - self.timestamps[0]) * self.time_base)

    def between(self, num_frames: int, start: float | None, end: float | None) -> range:
        """Of the first `num_frames` frames, those with start <= seconds < end; None is no bound.

        A span shorter than the gap between two frames gets the one that follows.
        """
        slack = _SLACK / self.frames_per_second
        first, stop = (
            bound
            if seconds is None
            else bisect.bisect_left(range(num_frames), seconds - slack, key=self.seconds)
            for seconds, bound in ((start, 0), (end, num_frames))
        )
        if stop == first < num_frames and end is not None and end >= (start or 0.0):
            stop += 1
        return range(first, max(first, stop))

    def index_at(self, timestamp: int | None) -> int | None:
        """Index of the frame with this timestamp, None where there is none."""
        if self.timestamps is None or timestamp is None:
            return None
        index = bisect.bisect_left(self.timestamps, timestamp)
        found = index < self.num_frames and self.timestamps[index] == timestamp
        return index if found else None

    def entry_before(self, index: int) -> tuple[int, int]:
        """The last keyframe at or before a frame: its index and where to seek for it."""
        entry = bisect.bisect_right(self.keyframes, index) - 1
        return self.keyframes[entry], self.keyframe_positions[entry]


def scan_packets(path: Path, container: InputContainer, stream: VideoStream) -> PacketTable:
    """Read every packet of the stream, decoding none; leaves the container at its end.

    Raises:
        InputError: the file cannot be read through, or has no packet with a picture.
    """
    packets: list[tuple[int | None, int | None, bool]] = []
    has_placeholders = False
    codec = stream.codec_context.codec.canonical_name
    try:
        for packet in container.demux(stream):
            if packet.size == 0 or packet.is_discard:
                continue
            if _carries_picture(codec, packet):
                packets.append((packet.pts, packet.dts, packet.is_keyframe))
            else:
                has_placeholders = True
    except av.error.FFmpegError as error:
        raise damaged(path, f"reading stops after {len(packets)} frames") from error
    if not packets:
        raise damaged(path, "no frame of it can be decoded")

    stamps = sorted(pts for pts, _, _ in packets if pts is not None)
    # AVI stores no presentation times; with B-frames FFmpeg guesses them, and not always well.
    guessed = container.format.name == "avi" and (
        has_placeholders or stream.codec_context.has_b_frames
    )
    first_is_key = any(key and pts == stamps[0] for pts, _, key in packets) if stamps else False
    trusted = len(set(stamps)) == len(packets) and first_is_key and not guessed
    entries = sorted(
        (bisect.bisect_left(stamps, pts), pts if dts is None else dts)
        for pts, dts, key in packets
        if trusted and key and pts is not None
    )
    time_base = stream.time_base or Fraction(1, 1)
    return PacketTable(
        num_frames=len(packets),
        timestamps=stamps if trusted else None,
        keyframes=[index for index, _ in entries],
        keyframe_positions=[position for _, position in entries],
        time_base=time_base,
        frames_per_second=average_rate(container, stream) or _rate_of(stamps, time_base),
    )


def count_frames(path: str | Path) -> int:
    """Count the frames of a video by its packets, without decoding it.

    Decoding gives this many, or rarely fewer: a packet in front of the first keyframe shows
    nothing, nor does one of two placeholders at the end of some XviD files. `read_video` with
    `num_frames` or a function of the number counts again in that case.

    Raises:
        InputError: the file is not a video, or is cut off.
    """
    with open_video(path) as (container, stream):
        return scan_packets(Path(path), container, stream).num_frames


def _carries_picture(codec: str, packet: Packet) -> bool:
    """Whether decoding the packet gives a picture to show."""
    if codec == "mpeg4":
        # XviD and DivX pack a B-frame behind its reference and leave one byte in its place.
        return packet.size > 1
    if codec == "vp8":
        # Bit 4 of a VP8 frame is clear where the picture only serves as a reference.
        return bool(bytes(packet)[0] & 0x10)
    return True


def _rate_of(stamps: list[int], time_base: Fraction) -> float:
    """Average rate of ascending timestamps."""
    if len(stamps) > 1 and stamps[-1] > stamps[0]:
        return float((len(stamps) - 1) / ((stamps[-1] - stamps[0]) * time_base))
    # A single picture has no rate; FFmpeg's own habit for images.
    return 25.0
