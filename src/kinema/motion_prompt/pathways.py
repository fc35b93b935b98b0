"""Which of SlowFast's pathways see prompts, and which the plain clip."""

from torch import Tensor

from kinema.backbones import slow_frames
from kinema.errors import InputError

PATHWAYS = ("both", "slow", "fast")


def pack_pathways(
    prompts: Tensor, clip: Tensor, *, pathways: str, frame_ratio: int
) -> list[Tensor]:
    """The pair [slow, fast] that SlowFast takes, packed after the prompts are made.

    Slow frames are chosen among T frames by `slow_frames`, the same ones of prompts and of the
    plain clip, so both pathways show the same moments.

    Args:
        prompts: `(B, C, T, H, W)`.
        clip: what they were made of, `(B, C, T+1, H, W)`; its last T frames are the plain ones.
        pathways: "both" see prompts, or only "slow", or only "fast".
        frame_ratio: fast frames for one slow frame.

    Returns:
        `(B, C, T // frame_ratio, H, W)` and `(B, C, T, H, W)`.
    """
    plain = clip[:, :, 1:]
    slow = plain if pathways == "fast" else prompts
    fast = plain if pathways == "slow" else prompts
    return [slow_frames(slow, frame_ratio=frame_ratio), fast]


def check_pathways(pathways: str, *, frame_ratio: int | None, layout: str, backbone: str) -> None:
    """Raise InputError where the backbone has no such pathways."""
    if pathways not in PATHWAYS:
        raise InputError(f"pathways is {pathways!r}; expected one of {', '.join(PATHWAYS)}")
    if frame_ratio is None and pathways != "both":
        raise InputError(
            f"pathways is {pathways!r}; a {backbone} has one pathway only: leave it out, or give "
            "facts with a frame_ratio"
        )
    if frame_ratio is not None and layout != "BCTHW":
        raise InputError(
            f"layout is {layout!r}; a backbone of two pathways is shown clips in 'BCTHW': bring "
            "the facts into this layout"
        )
