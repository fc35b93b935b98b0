"""What can stand before a backbone in a motion prompt's place, to be compared with it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from kinema.motion_prompt.difference import working_dtype
from kinema.motion_prompt.layer import MotionPromptOutput
from kinema.motion_prompt.layout import check_layout, from_canonical, to_canonical
from kinema.motion_prompt.validation import check_num_frames, check_per_channel, check_std


class FrontEnd(Protocol):
    """A module that turns T+1 normalised frames into the T that a backbone sees.

    `MotionPrompt` is one, and so is any `nn.Module` with these attributes; what it learns is
    trained as "prompt".
    """

    layout: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    penalty: float

    def __call__(self, clip: Tensor) -> MotionPromptOutput:
        """Prompt a clip in `layout`: frames for the backbone, attention, variation."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """What the front end learns."""


class _WithoutAttention(nn.Module, ABC):
    """A front end that learns nothing: its attention is 1 everywhere, its variation 0.

    Args:
        mean, std: how the clip was normalised, one number per channel.
        layout: the order of the clip's axes, as `MotionPrompt` takes it.

    Raises:
        InputError: mean or std are not three finite numbers, a std is not above 0, or the layout
            is unknown.
    """

    penalty = 0.0

    def __init__(
        self,
        *,
        mean: Sequence[float] = (0.45, 0.45, 0.45),
        std: Sequence[float] = (0.225, 0.225, 0.225),
        layout: str = "BTCHW",
    ) -> None:
        super().__init__()
        self.mean = check_per_channel("mean", mean)
        self.std = check_std(std)
        self.layout = check_layout(layout)

    def forward(self, clip: Tensor) -> MotionPromptOutput:
        """T+1 normalised RGB frames in the layout to T, in the same layout and dtype.

        Raises:
            InputError: as for `MotionPrompt`.
        """
        frames = to_canonical(clip, self.layout)
        check_num_frames(frames.shape[1])
        shown = self.shown(frames)
        attention = torch.ones_like(shown[:, :, 0], dtype=working_dtype(clip))
        return MotionPromptOutput(
            video=from_canonical(shown, self.layout),
            attention=attention,
            variation=attention.new_zeros(()),
        )

    @abstractmethod
    def shown(self, frames: Tensor) -> Tensor:
        """The backbone's frames, `(B, T+1, C, H, W)` to `(B, T, C, H, W)`."""

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return f"mean={self.mean}, std={self.std}, layout={self.layout!r}"


class FrameDifference(_WithoutAttention):
    """Raw frame differences in a motion prompt's place: `X_{t+1} - X_t`, channel by channel.

    They are signed differences of the normalised frames, so a change of 1 in a channel of a frame
    in [0, 1] is 1 / std here; nothing is scaled further. Half precision is differenced as it is.
    """

    def shown(self, frames: Tensor) -> Tensor:
        """`(B, T+1, C, H, W)` to `(B, T, C, H, W)`."""
        return frames[:, 1:] - frames[:, :-1]


class PlainFrames(_WithoutAttention):
    """The frames themselves in a motion prompt's place: the baseline, on the same T frames.

    The first of the T+1 frames is dropped, as it is from prompts, so that a comparison shows the
    backbone the same moments.
    """

    def shown(self, frames: Tensor) -> Tensor:
        """`(B, T+1, C, H, W)` to `(B, T, C, H, W)`."""
        return frames[:, 1:]
