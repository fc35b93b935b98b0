"""The motion prompt layer: attention to motion, multiplied into the clip."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_prompt.diagnostics import PromptDiagnostics, diagnose
from kinema.motion_prompt.difference import GREY_WEIGHTS, frame_difference
from kinema.motion_prompt.fused import can_fuse, fused_prompt
from kinema.motion_prompt.fused_formula import PromptFormula, memory_order
from kinema.motion_prompt.layout import (
    canonical_axes,
    check_layout,
    from_canonical,
    to_canonical,
)
from kinema.motion_prompt.normalisation import LearnableSigmoid
from kinema.motion_prompt.validation import check_num_frames, check_per_channel, check_std
from kinema.motion_prompt.variation import attention_variation


class MotionPromptOutput(NamedTuple):
    """What a motion prompt makes of a clip of T + 1 frames.

    video: attention times the clip from its second frame on, T frames, in the clip's own layout and
        dtype.
    attention: `(B, T, H, W)` whatever the layout, float64 for float64, otherwise float32.
    variation: scalar; the loss term is `layer.penalty * variation`.
    """

    video: Tensor
    attention: Tensor
    variation: Tensor


class MotionPrompt(nn.Module):
    """Video motion prompts (Chen, Wang, Koniusz, Gedeon, ACML 2024, arXiv 2407.03179).

    `Z_t = f(D_t) * X_{t+1}`: the power normalisation f turns the grey difference of neighbouring
    frames into an attention map, which weighs every channel of the later frame. T+1 frames in, T
    prompts out. The layer has two learned scalars, m and n.

    Args:
        mean: what was subtracted from frames in [0, 1] to normalise the clip, one per channel. It
            cancels in the difference and is kept only to be seen and checked.
        std: what the clip was then divided by, one per channel.
        layout: the order of the clip's axes: T, C, H, W in any order, B in front or absent.
        penalty: weight of the temporal attention variation in the loss. The layer keeps it for
            whoever adds up the loss; it changes nothing in `forward`.
        normalisation: another power normalisation from `kinema.motion_prompt`, in place of
            `LearnableSigmoid()`.
        grey_weights: weights of the channels in the grey frame.
        compiled: on a CPU, whether a C compiler may make the layer's loop, several times faster,
            at the cost of about a second in each process. None: where there is one, for large
            clips. Where it fails, a warning says so once.

    Raises:
        InputError: mean, std or grey_weights are not three finite numbers, a std is not above 0,
            the layout is unknown, or the penalty is negative or not finite.
    """

    def __init__(
        self,
        *,
        mean: Sequence[float] = (0.45, 0.45, 0.45),
        std: Sequence[float] = (0.225, 0.225, 0.225),
        layout: str = "BTCHW",
        penalty: float = 1.0,
        normalisation: nn.Module | None = None,
        grey_weights: Sequence[float] = GREY_WEIGHTS,
        compiled: bool | None = None,
    ) -> None:
        super().__init__()
        # Plain numbers, not buffers: the state dict holds what is learned and nothing else.
        self.mean = check_per_channel("mean", mean)
        self.std = check_std(std)
        self.layout = check_layout(layout)
        self.grey_weights = check_per_channel("grey_weights", grey_weights)
        if not 0.0 <= penalty < math.inf:
            raise InputError(
                f"penalty is {penalty}; expected a finite number from 0 up, 1 is usual"
            )
        self.penalty = penalty
        self.compiled = compiled
        self.normalisation = LearnableSigmoid() if normalisation is None else normalisation

    @classmethod
    def reference(cls, *, seed: int, layout: str = "BTCHW", penalty: float = 1.0) -> Self:
        """The authors' published layer to float precision, its quirks included.

        The grey weights stand in BGR order although the frames are RGB, and m and n are drawn
        from N(1e-5, 1) (in that order, as `torch.manual_seed(seed)` would have drawn them). Not
        reproduced: the published variation is NaN for two frames, here it is 0; and it is left
        out where gradients are disabled, here it is always computed.
        """
        generator = torch.Generator().manual_seed(seed)
        m, n = (torch.empty(1).normal_(1e-5, 1.0, generator=generator).item() for _ in range(2))
        return cls(
            layout=layout,
            penalty=penalty,
            normalisation=LearnableSigmoid(m, n),
            grey_weights=GREY_WEIGHTS[::-1],
        )

    def forward(self, clip: Tensor) -> MotionPromptOutput:
        """Prompt a normalised clip.

        Half-precision clips are differenced and weighed in float32 and rounded once, at the end.
        Values are not examined (`check_clip` does), so the layer exports and compiles; a NaN
        comes out as NaN.

        Args:
            clip: T >= 2 normalised RGB frames in the layer's layout, e.g. `(B, T, C, H, W)`.

        Raises:
            InputError: another rank, channel count or dtype than expected, or a single frame.
        """
        frames = to_canonical(clip, self.layout)
        check_num_frames(frames.shape[1])
        if can_fuse(self.normalisation, frames):
            order = memory_order(frames, canonical_axes(self.layout))
            formula = PromptFormula(self.folded_weights, dtype=clip.dtype, order=order)
            prompts, attention, variation = fused_prompt(
                frames, self.normalisation, formula, compiled=self.compiled
            )
            return MotionPromptOutput(from_canonical(prompts, self.layout), attention, variation)
        difference = frame_difference(frames, std=self.std, weights=self.grey_weights)
        attention = self.normalisation(difference)
        prompts = (frames[:, 1:] * attention.unsqueeze(2)).to(clip.dtype)
        return MotionPromptOutput(
            video=from_canonical(prompts, self.layout),
            attention=attention,
            variation=attention_variation(attention),
        )

    def diagnostics(self, attention: Tensor) -> PromptDiagnostics:
        """Slope, shift and rest value of the normalisation, and how `attention` is spread."""
        return diagnose(self.normalisation, attention)

    @property
    def folded_weights(self) -> tuple[float, ...]:
        """Weights of a normalised clip's channels in the grey frame: `grey_weights * std`."""
        return tuple(w * s for w, s in zip(self.grey_weights, self.std, strict=True))

    def extra_repr(self) -> str:
        """Settings shown by `print(layer)`."""
        return (
            f"mean={self.mean}, std={self.std}, layout={self.layout!r}, penalty={self.penalty}, "
            f"grey_weights={self.grey_weights}"
        )
