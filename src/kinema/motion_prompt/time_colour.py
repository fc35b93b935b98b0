"""Time-colour reordering and GrayST: three moments in the three channels of one frame.

Kim, Gowda, Mac Aodha, Sevilla-Lara, "Capturing Temporal Information in a Single Frame: Channel
Sampling Strategies for Action Recognition", BMVC 2022. Throughout, output frame k (from 0) looks
at input frames k, k+1, k+2.
"""

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_prompt.difference import grey_frames

_LOOKAHEAD = 2


def time_colour(frames: Tensor) -> Tensor:
    """TC: one colour at three moments, the colour changing from frame to frame.

    `(1R 2R 3R)(2G 3G 4G)(3B 4B 5B)(4R 5R 6R)...`; past the end the last frame stands in.
    `(B, T, 3, H, W)` to `(B, T, 3, H, W)`.
    """
    num_frames = frames.shape[1]
    return _gather(frames, [[(k + i, k % 3) for i in range(3)] for k in range(num_frames)])


def time_colour_plus_two(frames: Tensor) -> Tensor:
    """TC+2: TC of two frames more than are given back, so that no frame is repeated.

    `(B, T+2, 3, H, W)` to `(B, T, 3, H, W)`.

    Raises:
        InputError: fewer than three frames.
    """
    _check_lookahead("TC+2", frames.shape[1])
    return time_colour(frames)[:, :-_LOOKAHEAD]


def time_colour_rgb(frames: Tensor) -> Tensor:
    """TCrgb: every colour at its own moment, `(1R 2G 3B)(2R 3G 4B)...`.

    Past the end the last frame stands in. `(B, T, 3, H, W)` to `(B, T, 3, H, W)`.
    """
    num_frames = frames.shape[1]
    return _gather(frames, [[(k + i, i) for i in range(3)] for k in range(num_frames)])


def time_colour_red(frames: Tensor) -> Tensor:
    """TCred: red at three moments, `(1R 2R 3R)(2R 3R 4R)...`.

    Past the end the last frame stands in. `(B, T, 3, H, W)` to `(B, T, 3, H, W)`.
    """
    num_frames = frames.shape[1]
    return _gather(frames, [[(k + i, 0) for i in range(3)] for k in range(num_frames)])


def grey_short_term(frames: Tensor, *, step: int = 1) -> Tensor:
    """GrayST: three consecutive grey frames as channels.

    Args:
        frames: `(B, T, 3, H, W)`, RGB in [0, 1], at least three.
        step: frames between neighbouring outputs: 1 slides, 3 takes frames sampled in triples.

    Returns:
        `(B, (T - 3) // step + 1, 3, H, W)` in [0, 1].

    Raises:
        InputError: fewer than three frames, or a step below 1.
    """
    _check_lookahead("GrayST", frames.shape[1])
    if step < 1:
        raise InputError(f"step is {step}; expected 1 or more: 1 slides, 3 takes triples")
    grey = grey_frames(frames).to(frames.dtype)
    num_windows = frames.shape[1] - _LOOKAHEAD
    moments = [grey[:, i : i + num_windows : step] for i in range(3)]
    return torch.stack(moments, dim=2)


def _gather(frames: Tensor, sources: list[list[tuple[int, int]]]) -> Tensor:
    """Build output frames from `(input frame, input channel)` of each of their channels."""
    index = torch.tensor(sources, device=frames.device)
    last = frames.shape[1] - 1
    return frames[:, index[..., 0].clamp(max=last), index[..., 1]]


def _check_lookahead(name: str, num_frames: int) -> None:
    if num_frames <= _LOOKAHEAD:
        raise InputError(
            f"the clip has {num_frames} frames; {name} needs at least {_LOOKAHEAD + 1}: sample "
            "more frames"
        )
