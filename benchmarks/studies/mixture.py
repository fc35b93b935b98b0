"""Candidates for a better front end than the paper's, to be tried in the studies.

Ours, not the paper's. Each takes T + 1 frames as a motion prompt does, and mixes with learned
shares what the backbone could be shown: frames, their motion prompts, and differences.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.backbones import BackboneFacts
from kinema.motion_prompt import FrontEnd, LearnableSigmoid, MotionPromptOutput, from_canonical
from kinema.motion_prompt.difference import GREY_WEIGHTS, frame_difference
from kinema.motion_prompt.layout import check_layout, to_canonical
from kinema.motion_prompt.variation import attention_variation
from kinema.recognition import FRONT_ENDS, Recipe

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
        mixed = torch.stack([share * part for share, part in zip(shares, shown, strict=True)]).sum(
            0
        )
        if self.either and self.training:
            mixed = mixed * _signs(mixed)
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


class Channels(nn.Module):
    """Grey changes at three lags, each a channel, under a signed power normalisation.

    Colour tells sites apart rather than actions; three channels hold three time scales instead.

    Args:
        facts: of the backbone: layout, mean and std of its clips.
        lags: one for each channel.
        centred: in the last channel's place, what differs from the mean over the clip.
        polarity: "signed"; "either", of which each clip is shown in training with a sign by
            chance, as whether actors are darker than their ground tells sites apart; or "none",
            sizes of changes alone.
        sizes: of changes, in [0, 1], that are first brought to 0.76, one for each channel.
        relative: measure changes by their root mean square in the clip.
        jitter: in training, stretch or shrink a clip's changes by chance, in e-folds.
        local: divide changes by their root mean square around them too, in space and time, so that
            what moves in shadow counts as what moves in the sun.
    """

    penalty = 0.0

    def __init__(
        self,
        facts: BackboneFacts,
        *,
        lags: tuple[int, ...] = (1, 2, 4),
        centred: bool = False,
        polarity: str = "signed",
        local: bool = False,
        sizes: tuple[float, ...] = (0.05, 0.05, 0.05),
        relative: bool = False,
        jitter: float = 0.0,
    ) -> None:
        super().__init__()
        self.mean, self.std = tuple(facts.mean), tuple(facts.std)
        self.layout = check_layout(facts.layout)
        self.lags, self.centred, self.polarity, self.local = lags, centred, polarity, local
        self.relative, self.jitter = relative, jitter
        weights = torch.tensor([w * s for w, s in zip(GREY_WEIGHTS, self.std, strict=True)])
        self.register_buffer("weights", weights, persistent=False)
        self.log_size = nn.Parameter(torch.tensor(sizes).log())

    def forward(self, clip: Tensor) -> MotionPromptOutput:
        """T + 1 normalised frames in the layout to T, in the same layout and dtype."""
        frames = to_canonical(clip, self.layout)
        grey = torch.einsum("btchw,c->bthw", frames, self.weights.to(frames.dtype))
        times = torch.arange(1, frames.shape[1], device=frames.device)
        changes = [grey[:, 1:] - grey[:, (times - lag).clamp_min(0)] for lag in self.lags]
        if self.centred:
            changes[-1] = grey[:, 1:] - grey.mean(dim=1, keepdim=True)
        sizes = self.log_size.exp().view(1, 1, -1, 1, 1)
        change = torch.stack(changes, dim=2)
        if self.relative:
            change = change / (
                change.square().mean(dim=(1, 2, 3, 4), keepdim=True).sqrt() + _EPSILON
            )
        if self.jitter and self.training:
            stretch = torch.randn(len(change), 1, 1, 1, 1, device=change.device)
            change = change * (self.jitter * stretch).exp()
        change = change / (_around(change) + sizes) if self.local else torch.tanh(change / sizes)
        if self.polarity == "none":
            change = change.abs()
        elif self.polarity == "either" and self.training:
            change = change * _signs(change)
        shown = change.to(clip.dtype)
        attention = shown[:, :, 0].abs().float()
        return MotionPromptOutput(
            video=from_canonical(shown, self.layout),
            attention=attention,
            variation=attention.new_zeros(()),
        )


def _signs(clip: Tensor) -> Tensor:
    """One of -1 and 1 for each clip of a batch."""
    chosen = torch.randint(2, (len(clip), 1, 1, 1, 1), device=clip.device)
    return (2 * chosen - 1).to(clip.dtype)


def _around(change: Tensor, *, side: int = 15, times: int = 3) -> Tensor:
    """Root mean square of (B, T, C, H, W) in a neighbourhood of each pixel."""
    power = change.square().transpose(1, 2)
    mean = F.avg_pool3d(
        power,
        (times, side, side),
        stride=1,
        padding=(times // 2, side // 2, side // 2),
        count_include_pad=False,
    )
    return mean.transpose(1, 2).clamp_min(1e-12).sqrt()


def _channels(**settings: object) -> Callable[[Recipe, BackboneFacts], FrontEnd]:
    return lambda recipe, facts: Channels(facts, **settings)  # type: ignore[arg-type]


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
    "attended difference": _mixture(parts=("attended",)),
    "attended difference, signed": _mixture(parts=("attended",), both_signs=False),
    "saturated difference": _mixture(parts=("saturated",)),
    "saturated differences, three lags": _mixture(parts=("saturated",), lags=(1, 2, 4)),
    "centred": _mixture(parts=("centred",)),
    "centred+difference": _mixture(parts=("centred", "difference")),
    "centred+saturated": _mixture(parts=("centred", "saturated")),
    "prompt+saturated": _mixture(parts=("prompt", "saturated")),
    "grey at three lags": _channels(),
    "grey at two lags, centred": _channels(centred=True),
    "grey at three lags, either": _channels(polarity="either"),
    "grey at three lags, rectified": _channels(polarity="none"),
    "grey at two lags, centred, rectified": _channels(centred=True, polarity="none"),
    "grey at long lags, rectified": _channels(lags=(1, 4, 8), polarity="none"),
    "grey at one lag, rectified": _channels(lags=(1, 1, 1), polarity="none"),
    "grey at one lag": _channels(lags=(1, 1, 1)),
    "grey at one lag, rectified, spread": _channels(
        lags=(1, 1, 1), polarity="none", sizes=(0.02, 0.05, 0.15)
    ),
    "grey at one lag, rectified, relative": _channels(
        lags=(1, 1, 1), polarity="none", relative=True, sizes=(1.0, 1.0, 1.0)
    ),
    "grey at one lag, rectified, jittered": _channels(lags=(1, 1, 1), polarity="none", jitter=0.5),
    "grey at three lags, local": _channels(local=True),
    "grey at three lags, local, either": _channels(local=True, polarity="either"),
    "grey at three lags, local, rectified": _channels(local=True, polarity="none"),
    "saturated difference, either": _mixture(parts=("saturated",), either=True),
    "difference, either": _mixture(parts=("difference",), either=True, relative=False),
}


def register() -> None:
    """Make the candidates known to recipes, under their names here."""
    FRONT_ENDS.update(MIXTURES)
