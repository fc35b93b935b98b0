"""Attention maps in the frames' place: ours, not the paper's."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_prompt.difference import frame_difference
from kinema.motion_prompt.layer import MotionPromptOutput
from kinema.motion_prompt.layout import check_layout, from_canonical, to_canonical
from kinema.motion_prompt.validation import check_num_frames, check_per_channel, check_std
from kinema.motion_prompt.variation import attention_variation

_NUM_MAPS = 3  # one for each channel that a backbone takes


class AttentionMaps(nn.Module):
    """Shows a backbone how much each place changes, and nothing else. Ours, not the paper's.

    `A_c = tanh(|D| / s_c)` of the grey difference D stands in the frame's place, one learned size
    s_c for each channel. A motion prompt multiplies its attention into the frame and so keeps
    colour and texture of what moves, and raw differences keep the sign of the change; both tell
    where a clip was taken as well as what happens in it. Here both are gone.

    In training each clip's changes are stretched or shrunk by chance, since how strongly a change
    shows depends on light and clothes. It comes from torch's random state.

    What it is good for depends on the backbone: on real clips a small SlowFast found five points
    more by it than by differences, a small X3D none, and a small TimeSformer, which needs their
    sign, six fewer (docs/log.md, `benchmarks/studies/ut_interaction.py`).

    Args:
        mean, std: how the clip was normalised, one number per channel.
        layout: the order of the clip's axes, as `MotionPrompt` takes it.
        size: of a change in [0, 1] that is brought to tanh(1) = 0.76, before anything is learned.
        jitter: standard deviation of the logarithm of the stretch in training; 0 for none.
        penalty: weight of the temporal attention variation in the loss.

    Raises:
        InputError: mean or std are not three finite numbers, a std or the size is not above 0,
            jitter or penalty are below 0, or the layout is unknown.
    """

    def __init__(
        self,
        *,
        mean: Sequence[float] = (0.45, 0.45, 0.45),
        std: Sequence[float] = (0.225, 0.225, 0.225),
        layout: str = "BTCHW",
        size: float = 0.05,
        jitter: float = 0.5,
        penalty: float = 0.0,
    ) -> None:
        super().__init__()
        self.mean = check_per_channel("mean", mean)
        self.std = check_std(std)
        self.layout = check_layout(layout)
        if not 0.0 < size < math.inf:
            raise InputError(f"size is {size}; expected a number above 0, 0.05 is usual")
        for name, value in (("jitter", jitter), ("penalty", penalty)):
            if not 0.0 <= value < math.inf:
                raise InputError(f"{name} is {value}; expected a finite number from 0 up")
        self.jitter, self.penalty = jitter, penalty
        # The logarithm, so that a step of the optimiser is a share of the size.
        self.log_sizes = nn.Parameter(torch.full((_NUM_MAPS,), math.log(size)))

    def forward(self, clip: Tensor) -> MotionPromptOutput:
        """T+1 normalised RGB frames in the layout to T maps of three channels.

        Args:
            clip: e.g. `(B, T+1, 3, H, W)`, any floating-point dtype.

        Returns:
            The maps in [0, 1], in the clip's layout and dtype, e.g. `(B, T, 3, H, W)`; their mean
            over the channels as attention, `(B, T, H, W)`; and its variation, a scalar.

        Raises:
            InputError: as for `MotionPrompt`.
        """
        frames = to_canonical(clip, self.layout)
        check_num_frames(frames.shape[1])
        change = frame_difference(frames, std=self.std).abs()
        if self.jitter and self.training:
            stretch = torch.randn(len(change), 1, 1, 1, dtype=change.dtype, device=change.device)
            change = change * (self.jitter * stretch).exp()
        sizes = self.log_sizes.to(change.dtype).exp().view(_NUM_MAPS, 1, 1)
        maps = torch.tanh(change.unsqueeze(2) / sizes)
        attention = maps.mean(dim=2)
        return MotionPromptOutput(
            video=from_canonical(maps.to(clip.dtype), self.layout),
            attention=attention,
            variation=attention_variation(attention),
        )

    def extra_repr(self) -> str:
        """Settings shown by `print(module)`."""
        return (
            f"mean={self.mean}, std={self.std}, layout={self.layout!r}, jitter={self.jitter}, "
            f"penalty={self.penalty}"
        )
