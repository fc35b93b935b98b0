"""Which frames to take: pure functions from a number of frames to indices.

All three are ascending, and none wraps around. A video with fewer frames than asked repeats its
last frame: nothing moves there, which is true of a video that has ended. Starting over would
show a jump that nobody filmed.
"""

from kinema.errors import InputError


def uniform_indices(num_frames_in_video: int, num_frames: int) -> list[int]:
    """Spread `num_frames` indices evenly: the middles of equal parts of the video.

    A video with exactly `num_frames` frames gives each once; one with fewer gives each once
    and then repeats its last.

    Raises:
        InputError: a number is below 1.
    """
    _require_positive(num_frames_in_video=num_frames_in_video, num_frames=num_frames)
    if num_frames_in_video < num_frames:
        return [min(i, num_frames_in_video - 1) for i in range(num_frames)]
    return [(2 * i + 1) * num_frames_in_video // (2 * num_frames) for i in range(num_frames)]


def strided_indices(
    num_frames_in_video: int, num_frames: int, *, stride: int, start: int | None = None
) -> list[int]:
    """Take every `stride`-th frame from `start` on; without `start`, from the middle.

    Past the end of the video its last frame is repeated.

    Raises:
        InputError: a number is below 1, or `start` is outside the video.
    """
    _require_positive(num_frames_in_video=num_frames_in_video, num_frames=num_frames, stride=stride)
    if start is None:
        start = _last_start(num_frames_in_video, num_frames, stride) // 2
    if not 0 <= start < num_frames_in_video:
        raise InputError(
            f"start is {start}, expected 0 to {num_frames_in_video - 1} in a video of "
            f"{num_frames_in_video} frames"
        )
    return [min(start + i * stride, num_frames_in_video - 1) for i in range(num_frames)]


def dense_views(
    num_frames_in_video: int, num_frames: int, *, stride: int, num_views: int
) -> list[list[int]]:
    """Lay `num_views` strided clips evenly from the start of the video to its end.

    One view is the middle one. Views overlap, or are the same, where the video is short.

    Raises:
        InputError: a number is below 1.
    """
    _require_positive(num_views=num_views)
    _require_positive(num_frames_in_video=num_frames_in_video, num_frames=num_frames, stride=stride)
    if num_views == 1:
        return [strided_indices(num_frames_in_video, num_frames, stride=stride)]
    last = _last_start(num_frames_in_video, num_frames, stride)
    starts = [view * last // (num_views - 1) for view in range(num_views)]
    return [
        strided_indices(num_frames_in_video, num_frames, stride=stride, start=start)
        for start in starts
    ]


def _last_start(num_frames_in_video: int, num_frames: int, stride: int) -> int:
    """The last start from which a strided clip fits; 0 where none does."""
    return max(0, num_frames_in_video - 1 - (num_frames - 1) * stride)


def _require_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"{name} is {number}, expected at least 1")
