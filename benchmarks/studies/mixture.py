"""Candidates for a better front end than the paper's, to be tried in the studies.

Ours, not the paper's. Each takes T + 1 frames as a motion prompt does, and mixes with learned
shares what the backbone could be shown: frames, their motion prompts, and differences.
"""

import torch
from grey_changes import signs
from torch import Tensor, nn

from kinema.backbones import BackboneFacts
from kinema.motion_prompt import LearnableSigmoid, MotionPromptOutput, from_canonical
from kinema.motion_prompt.difference import frame_difference
from kinema.motion_prompt.layout import check_layout, to_canonical
from kinema.motion_prompt.variation import attention_variation

_EPSILON = 1e-3
_AT_LAGS = ("difference", "saturated")
# In units of normalised frames: a change of 0.05 in [0, 1] at the usual std.
_SIZE = 0.05 / 0.225


class Mixture(nn.Module):
    """Learned shares of frame, motion prompt and differences at one or more lags.

    Args:
        facts: of the backbone: layout, mean and std of its clips.
        parts: of "frame", "prompt", "difference", "centred" (frames without the mean over the
            clip, as motion inversion debiases its value embedding), "saturated" (differences under
            a signed power normalisation with a learned slope) and "attended" (differences times
            their attention).
        both_signs: attend to |D|, so that what darkens counts as what brightens does.
        lags: of the differences shown; at the start of a clip a longer lag reaches back as far as
            there are frames.
        either: show each clip in training with a sign by chance.
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
        either: bool = False,
        penalty: float = 1.0,
    ) -> None:
        super().__init__()
        self.mean, self.std = tuple(facts.mean), tuple(facts.std)
        self.layout = check_layout(facts.layout)
        self.parts, self.both_signs, self.lags, self.relative = parts, both_signs, lags, relative
        self.penalty, self.either = penalty, either
        self.normalisation = LearnableSigmoid()
        count = sum(len(lags) if part in _AT_LAGS else 1 for part in parts)
        self.shares = nn.Parameter(torch.zeros(count))
        # Of a signed power normalisation: differences of this size are brought to 0.76.
        self.log_size = nn.Parameter(torch.tensor(_SIZE).log()) if "saturated" in parts else None

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
            elif part == "centred":
                shown.append(self._sized(frames[:, 1:] - frames.mean(dim=1, keepdim=True)))
            elif part == "attended":
                shown.append(self._sized(self._change(frames, 1) * attention.unsqueeze(2)))
            elif part == "saturated":
                shown += [self._saturated(frames, lag) for lag in self.lags]
            else:
                shown += [self._sized(self._change(frames, lag)) for lag in self.lags]
        shares = self.shares.softmax(dim=0) * len(shown)
        weighed = (share * part for share, part in zip(shares, shown, strict=True))
        mixed = sum(weighed, start=torch.zeros_like(shown[0]))
        if self.either and self.training:
            mixed = mixed * signs(mixed)
        return MotionPromptOutput(
            video=from_canonical(mixed.to(clip.dtype), self.layout),
            attention=attention,
            variation=attention_variation(attention),
        )

    def _change(self, frames: Tensor, lag: int) -> Tensor:
        earlier = (torch.arange(1, frames.shape[1], device=frames.device) - lag).clamp_min(0)
        return frames[:, 1:] - frames[:, earlier]

    def _saturated(self, frames: Tensor, lag: int) -> Tensor:
        assert self.log_size is not None
        return torch.tanh(self._change(frames, lag) / self.log_size.exp())

    def _sized(self, shown: Tensor) -> Tensor:
        if not self.relative:
            return shown
        size = shown.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt()
        return shown / (size + _EPSILON)
