"""Which background a video has, from its colours.

Each family of `kinema.sprites.backgrounds` mixes two known colours, so its pixels lie on a segment
in RGB; no two segments come near each other. The family whose segment explains most pixels is the
background; what it does not explain is the sprite, noise or a mistake.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.sprites import BACKGROUNDS
from kinema.sprites.backgrounds import PLAIN, background_colours

_TOLERANCE = 0.12
"""RGB distance at which a pixel counts as half explained."""

_LEAST_SPREAD = 0.06
"""Standard deviation of the mixing weight below which a mixed background is but a flat colour."""

_FAR = 0.25
"""Median RGB distance beyond which a video has none of the backgrounds."""


@dataclass(frozen=True)
class BackgroundFit:
    """The backgrounds of B videos.

    Attributes:
        background: index into `BACKGROUNDS`, -1 where no family explains the pixels, (B,).
        margin: 1 - cost of the winner / cost of the runner-up, in [0, 1], (B,).
        segment: the two RGB colours it mixes, as they are in this video, (B, 2, 3).
    """

    background: Tensor
    margin: Tensor
    segment: Tensor


def distance_to_segment(video: Tensor, segment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return how far pixels are from the colours that a background can have.

    Args:
        video: (B, T, 3, H, W).
        segment: two RGB colours for each video, (B, 2, 3).

    Returns:
        The squared distance (B, T, H, W), the nearest colour on the segment (B, T, 3, H, W) and
        its mixing weight in [0, 1] (B, T, H, W).
    """
    start = segment[:, 0, None, :, None, None]
    along = segment[:, 1, None, :, None, None] - start
    length = (along * along).sum(dim=2)
    weight = (((video - start) * along).sum(dim=2) / length.clamp_min(1e-12)).clamp(0, 1)
    nearest = start + weight[:, :, None] * along
    return (video - nearest).square().sum(dim=2), nearest, weight


def find_background(video: Tensor) -> BackgroundFit:
    """Return the background of each video (B, T, 3, H, W)."""
    # Every other pixel says as much about a family as all of them.
    sample = video[..., ::2, ::2]
    segments = torch.tensor([background_colours(name) for name in BACKGROUNDS]).to(video)
    costs, medians = [], []
    for name, segment in zip(BACKGROUNDS, segments, strict=True):
        distance, _, weight = distance_to_segment(sample, segment.expand(len(video), 2, 3))
        cost = (distance / (distance + _TOLERANCE**2)).flatten(1).mean(dim=1)
        if name not in PLAIN:
            explained = (distance < _TOLERANCE**2).to(video).flatten(1)
            weight = weight.flatten(1)
            share = explained.sum(dim=1).clamp_min(1)
            mean = (explained * weight).sum(dim=1) / share
            spread = ((explained * (weight - mean[:, None]).square()).sum(dim=1) / share).sqrt()
            cost = torch.where(spread < _LEAST_SPREAD, 1.0, cost)
        costs.append(cost)
        medians.append(distance.flatten(1).median(dim=1).values.sqrt())
    cost, order = torch.stack(costs, dim=1).sort(dim=1)
    median = torch.stack(medians, dim=1).gather(1, order[:, :1])[:, 0]
    known = median < _FAR
    return BackgroundFit(
        background=torch.where(known, order[:, 0], -1),
        margin=torch.where(known, 1 - cost[:, 0] / cost[:, 1].clamp_min(1e-12), 0.0),
        segment=_as_seen(sample, segments[order[:, 0]]),
    )


def _as_seen(video: Tensor, segment: Tensor) -> Tensor:
    """Return the segment shifted onto the pixels it explains: a decoder may dim or tint them."""
    distance, nearest, _ = distance_to_segment(video, segment)
    explained = (distance < _TOLERANCE**2).to(video)[:, :, None]
    shift = ((video - nearest) * explained).sum(dim=(1, 3, 4))
    return segment + (shift / explained.sum(dim=(1, 3, 4)).clamp_min(1))[:, None]
