"""Candidates that show a backbone grey changes alone, a kind in each channel. Not the paper's.

Colour tells sites apart rather than actions, so three channels hold three lags, sizes or signs of
change instead. All changes pass a signed power normalisation with a learned size.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kinema.backbones import BackboneFacts
from kinema.motion_prompt import (
    GREY_WEIGHTS,
    MotionPromptOutput,
    from_canonical,
    grey_frames,
)
from kinema.motion_prompt.layout import check_layout, to_canonical

_EPSILON = 1e-3


def signed(change: Tensor) -> Tensor:
    """Changes (B, T, C, H, W) in (-1, 1), as they are."""
    return change


def rectified(change: Tensor) -> Tensor:
    """Sizes alone: whether actors are darker than their ground tells sites apart."""
    return change.abs()


def rectified_around_0(change: Tensor) -> Tensor:
    """Sizes less their mean over the clip."""
    return change.abs() - change.abs().mean(dim=(1, 3, 4), keepdim=True)


def apart(change: Tensor) -> Tensor:
    """What brightens, what darkens, and both, in a channel each."""
    first = change[:, :, 0]
    return torch.stack([first.relu(), (-first).relu(), change[:, :, 2].abs()], dim=2)


def signed_and_sizes(change: Tensor) -> Tensor:
    """Changes as they are in the first channel, their sizes in the others."""
    return torch.cat([change[:, :, :1], change[:, :, 1:].abs()], dim=2)


class GreyChanges(nn.Module):
    """Grey changes of T + 1 frames, saturated.

    Args:
        facts: of the backbone: layout, mean and std of its clips.
        lags: one for each channel; at the start of a clip a longer lag reaches back as far as
            there are frames.
        centred: in the last channel's place, what differs from the mean over the clip.
        shown: what is shown of the changes: `signed`, `rectified`, `rectified_around_0`, `apart`,
            `signed_and_sizes`; each maps (B, T, C, H, W) to the same shape.
        either: show each clip in training with a sign by chance.
        sizes: of changes, in [0, 1], that are first brought to 0.76, one for each channel.
        relative: measure changes by their root mean square in the clip.
        jitter: in training, stretch or shrink a clip's changes by chance, in e-folds.
    """

    penalty = 0.0

    def __init__(
        self,
        facts: BackboneFacts,
        *,
        lags: tuple[int, ...] = (1, 1, 1),
        centred: bool = False,
        shown: Callable[[Tensor], Tensor] = signed,
        either: bool = False,
        sizes: tuple[float, ...] = (0.05, 0.05, 0.05),
        relative: bool = False,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        self.mean, self.std = tuple(facts.mean), tuple(facts.std)
        self.layout = check_layout(facts.layout)
        self.lags, self.centred, self.shown, self.either = lags, centred, shown, either
        self.relative, self.jitter = relative, jitter
        self.weights = [w * s for w, s in zip(GREY_WEIGHTS, self.std, strict=True)]
        self.log_size = nn.Parameter(torch.tensor(sizes).log())

    def forward(self, clip: Tensor) -> MotionPromptOutput:
        """T + 1 normalised frames in the layout to T, in the same layout and dtype."""
        frames = to_canonical(clip, self.layout)
        grey = grey_frames(frames, weights=self.weights)
        times = torch.arange(1, frames.shape[1], device=frames.device)
        changes = [grey[:, 1:] - grey[:, (times - lag).clamp_min(0)] for lag in self.lags]
        if self.centred:
            changes[-1] = grey[:, 1:] - grey.mean(dim=1, keepdim=True)
        change = torch.stack(changes, dim=2)
        if self.relative:
            size = change.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt()
            change = change / (size + _EPSILON)
        if self.jitter and self.training:
            stretch = torch.randn(len(change), 1, 1, 1, 1, device=change.device)
            change = change * (self.jitter * stretch).exp()
        change = torch.tanh(change / self.log_size.exp().view(1, 1, -1, 1, 1))
        if self.either and self.training:
            change = change * signs(change)
        shown = self.shown(change)
        attention = shown.abs().mean(dim=2)
        return MotionPromptOutput(
            video=from_canonical(shown.to(clip.dtype), self.layout),
            attention=attention,
            variation=attention.new_zeros(()),
        )


def signs(clip: Tensor) -> Tensor:
    """One of -1 and 1 for each clip of a batch."""
    chosen = torch.randint(2, (len(clip), 1, 1, 1, 1), device=clip.device)
    return (2 * chosen - 1).to(clip.dtype)
