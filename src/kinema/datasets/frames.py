"""Which frames of a clip are looked at: spread over all of it, or at a stride."""

from itertools import pairwise

import torch
from torch import Generator

from kinema.video import dense_views, strided_indices, uniform_indices


def views(
    num_frames_in_clip: int, num_frames: int, *, stride: float | None, num_views: int
) -> list[list[int]]:
    """Frames of each temporal view, for evaluation: evenly laid, the same every time.

    Args:
        num_frames_in_clip: N.
        num_frames: T, frames of a view.
        stride: from frame to frame, as in `jittered`; None spreads each view over the clip, one
            view half a step, a third, ... from the next.
        num_views: V; a single view is the middle one.

    Returns:
        V lists of T ascending indices in [0, N). A clip with fewer than T frames gives each once
        and then repeats its last.
    """
    if stride is None:
        # Every num_views-th of a finer sampling: the middles of the parts of each part.
        if num_frames_in_clip < num_frames:
            return [uniform_indices(num_frames_in_clip, num_frames)] * num_views
        return [
            [
                (2 * (i * num_views + view) + 1)
                * num_frames_in_clip
                // (2 * num_frames * num_views)
                for i in range(num_frames)
            ]
            for view in range(num_views)
        ]
    stride = _fitting(stride, num_frames_in_clip, num_frames)
    windows = dense_views(
        num_frames_in_clip, _window(num_frames, stride), stride=1, num_views=num_views
    )
    return [_picked(window, num_frames, stride) for window in windows]


def jittered(
    num_frames_in_clip: int, num_frames: int, *, stride: float | None, generator: Generator
) -> list[int]:
    """Frames for training: as one view, shifted at random.

    Args:
        num_frames_in_clip: N.
        num_frames: T.
        stride: frames of the video from one frame to the next, from a random start; it shrinks
            where T frames at this stride do not fit, so that the whole clip is looked at. None
            takes a random frame out of each of T equal parts of the clip.
        generator: of the randomness.

    Returns:
        T ascending indices in [0, N). A clip with fewer than T frames gives each once and then
        repeats its last.
    """
    if stride is None:
        if num_frames_in_clip < num_frames:
            return uniform_indices(num_frames_in_clip, num_frames)
        bounds = [i * num_frames_in_clip // num_frames for i in range(num_frames + 1)]
        return [_integer(low, high, generator) for low, high in pairwise(bounds)]
    stride = _fitting(stride, num_frames_in_clip, num_frames)
    length = _window(num_frames, stride)
    start = _integer(0, max(1, num_frames_in_clip - length + 1), generator)
    window = strided_indices(num_frames_in_clip, length, stride=1, start=start)
    return _picked(window, num_frames, stride)


def _fitting(stride: float, num_frames_in_clip: int, num_frames: int) -> float:
    """The stride, or the largest with which all frames are inside the clip, but 1 at least."""
    if num_frames == 1:
        return stride
    return min(stride, max(1.0, (num_frames_in_clip - 1) / (num_frames - 1)))


def _window(num_frames: int, stride: float) -> int:
    return _offset(num_frames - 1, stride) + 1


def _picked(window: list[int], num_frames: int, stride: float) -> list[int]:
    return [window[_offset(i, stride)] for i in range(num_frames)]


def _offset(i: int, stride: float) -> int:
    # (N - 1) / (T - 1) times (T - 1) may come out a hair below N - 1.
    return int(i * stride + 1e-6)


def _integer(low: int, high: int, generator: Generator) -> int:
    """A whole number in [low, high)."""
    return int(torch.randint(low, high, (), generator=generator))
