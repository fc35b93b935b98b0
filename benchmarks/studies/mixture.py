"""Candidates for a better front end than the paper's, to be tried in the studies.

Ours, not the paper's. Each takes T + 1 frames as a motion prompt does, and mixes with learned
shares what the backbone could be shown: frames, their motion prompts, and differences.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kinema.backbones import BackboneFacts
from kinema.motion_prompt import FrontEnd, LearnableSigmoid, MotionPromptOutput, from_canonical
from kinema.motion_prompt.difference import frame_difference
from kinema.motion_prompt.layout import check_layout, to_canonical
from kinema.motion_prompt.variation import attention_variation
from kinema.recognition import FRONT_ENDS, Recipe

_EPSILON = 1e-3


class Mixture(nn.Module):
    """Learned shares of frame, motion prompt and differences at one or more lags.

    Args:
        facts: of the backbone: layout, mean and std of its clips.
        parts: of "frame", "prompt" and "difference".
        both_signs: attend to |D|, so that what darkens counts as what brightens does.
        lags: of the differences shown; at the start of a clip a longer lag reaches back as far as
            there are frames.
        relative: bring differences to unit root mean square, clip by clip.
        penalty: weight of the temporal attention variation.
    """

    def __init__(
        self,
        facts: BackboneFacts,
        *,
        parts: tuple[str, ...] = ("frame", "prompt", "difference"),
        both_signs: bool = True,
        lags: tuple[int, ...] = (1,),
        relative: bool = True,
        penalty: float = 1.0,
    ) -> None:
        super().__init__()
        self.mean, self.std = tuple(facts.mean), tuple(facts.std)
        self.layout = check_layout(facts.layout)
        self.parts, self.both_signs, self.lags, self.relative = parts, both_signs, lags, relative
        self.penalty = penalty
        self.normalisation = LearnableSigmoid()
        count = sum(len(lags) if part == "difference" else 1 for part in parts)
        self.shares = nn.Parameter(torch.zeros(count))

    def forward(self, clip: Tensor) -> MotionPromptOutput:
        """T + 1 normalised frames in the layout to T, in the same layout and dtype."""
        frames = to_canonical(clip, self.layout)
        grey = frame_difference(frames, std=self.std)
        attention = self.normalisation(grey.abs() if self.both_signs else grey)
        shown: list[Tensor] = []
        for part in self.parts:
            if part == "frame":
                shown.append(frames[:, 1:])
            elif part == "prompt":
                shown.append(frames[:, 1:] * attention.unsqueeze(2))
            else:
                shown += [self._difference(frames, lag) for lag in self.lags]
        shares = self.shares.softmax(dim=0) * len(shown)
        mixed = sum(share * part for share, part in zip(shares, shown, strict=True))
        return MotionPromptOutput(
            video=from_canonical(mixed.to(clip.dtype), self.layout),
            attention=attention,
            variation=attention_variation(attention),
        )

    def _difference(self, frames: Tensor, lag: int) -> Tensor:
        earlier = (torch.arange(1, frames.shape[1], device=frames.device) - lag).clamp_min(0)
        difference = frames[:, 1:] - frames[:, earlier]
        if not self.relative:
            return difference
        size = difference.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt()
        return difference / (size + _EPSILON)


def _mixture(**settings: object) -> Callable[[Recipe, BackboneFacts], FrontEnd]:
    return lambda recipe, facts: Mixture(facts, penalty=recipe.penalty, **settings)  # type: ignore[arg-type]


MIXTURES: dict[str, Callable[[Recipe, BackboneFacts], FrontEnd]] = {
    "both-signs": _mixture(parts=("prompt",)),
    "relative-difference": _mixture(parts=("difference",)),
    "prompt+difference": _mixture(parts=("prompt", "difference")),
    "prompt+difference, signed": _mixture(parts=("prompt", "difference"), both_signs=False),
    "frame+difference": _mixture(parts=("frame", "difference")),
    "all": _mixture(),
    "all, three lags": _mixture(lags=(1, 2, 4)),
    "differences, three lags": _mixture(parts=("difference",), lags=(1, 2, 4)),
}


def register() -> None:
    """Make the candidates known to recipes, under their names here."""
    FRONT_ENDS.update(MIXTURES)
