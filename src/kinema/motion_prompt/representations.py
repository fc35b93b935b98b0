"""Motion representations to set beside motion prompts, under their names in the papers."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from kinema.errors import InputError
from kinema.motion_prompt.difference import frame_difference
from kinema.motion_prompt.layout import to_canonical
from kinema.motion_prompt.taylor import taylor_frames
from kinema.motion_prompt.time_colour import (
    grey_short_term,
    time_colour,
    time_colour_plus_two,
    time_colour_red,
    time_colour_rgb,
)


@dataclass(frozen=True)
class Representation:
    """A way to turn RGB frames into frames that show motion.

    `function` maps `(B, T, 3, H, W)` in [0, 1] to `(B, T - num_extra_frames, 3, H, W)`.
    """

    function: Callable[[Tensor], Tensor]
    num_extra_frames: int


def _difference_frames(frames: Tensor) -> Tensor:
    """Signed frame differences, the same in three channels so that any backbone takes them."""
    difference = frame_difference(frames).to(frames.dtype)
    return difference.unsqueeze(2).expand(-1, -1, 3, -1, -1)


REPRESENTATIONS = {
    "frame difference": Representation(_difference_frames, num_extra_frames=1),
    "Taylor": Representation(taylor_frames, num_extra_frames=5),
    "TC": Representation(time_colour, num_extra_frames=0),
    "TC+2": Representation(time_colour_plus_two, num_extra_frames=2),
    "TCrgb": Representation(time_colour_rgb, num_extra_frames=0),
    "TCred": Representation(time_colour_red, num_extra_frames=0),
    "GrayST": Representation(grey_short_term, num_extra_frames=2),
}


def represent(frames: Tensor, name: str) -> Tensor:
    """Turn frames into the representation called `name`, at its default settings.

    Args:
        frames: `(B, T, 3, H, W)`, RGB in [0, 1], not normalised.
        name: a key of `REPRESENTATIONS`.

    Returns:
        `(B, T - num_extra_frames, 3, H, W)` in the dtype of `frames`; in [0, 1], the frame
        difference in [-1, 1].

    Raises:
        InputError: the name is unknown, the frames have another shape, or they are too few.
    """
    if name not in REPRESENTATIONS:
        raise InputError(
            f"representation {name!r} is not known; expected one of "
            f"{', '.join(map(repr, REPRESENTATIONS))}"
        )
    to_canonical(frames, "BTCHW")
    representation = REPRESENTATIONS[name]
    needed = representation.num_extra_frames + 1
    if frames.shape[1] < needed:
        raise InputError(
            f"the clip has {frames.shape[1]} frames; {name} needs at least {needed}: sample more "
            "frames"
        )
    return representation.function(frames)
