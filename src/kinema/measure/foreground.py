"""Where the sprite is: its colour and how much of each pixel it covers.

A pixel is `(1 - coverage) * background + coverage * colour` with the background somewhere on its
family's segment: two unknowns, three equations, solved for each pixel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.measure.background import BackgroundFit, distance_to_segment
from kinema.measure.objects import label_regions, largest_around, region_sizes
from kinema.sprites import COLOURS

_COLOUR_REACH = 0.35
"""RGB distance within which a pixel votes for a colour."""

_LEAST_AREA = 0.02
"""Area, in square half frame widths, from which a region is an object: a third of the smallest."""

_DEAD_ZONE = 0.08
"""Coverage below this, or this near to one, is noise."""


@dataclass(frozen=True)
class Foreground:
    """What stands before the background in each of B videos of T frames.

    Attributes:
        coverage: share of each pixel that the largest object covers, (B, T, H, W) in [0, 1].
        present: whether there is an object, (B, T) bool.
        whole: whether it stays off the frame's border, (B, T) bool.
        num_objects: connected regions of one colour, (B, T) int64.
        colour: RGB of the largest object, (B, T, 3).
        colour_distance: RGB distance of `colour` from each of `COLOURS`, (B, T, 6).
    """

    coverage: Tensor
    present: Tensor
    whole: Tensor
    num_objects: Tensor
    colour: Tensor
    colour_distance: Tensor


def find_foreground(video: Tensor, background: BackgroundFit) -> Foreground:
    """Return what stands before its background in `video` (B, T, 3, H, W); nothing before none."""
    segment = background.segment
    num_videos, num_frames, _, height, width = video.shape
    palette = torch.tensor(list(COLOURS.values())).to(video)
    from_background = distance_to_segment(video, segment)[0].flatten(0, 1)
    pixels = video.flatten(0, 1).flatten(2)
    # |p - c|^2 for every pixel and colour, as one product of matrices.
    from_colours = (
        palette.square().sum(dim=1)[None, :, None]
        - 2 * (palette @ pixels)
        + pixels.square().sum(dim=1, keepdim=True)
    )
    from_colour, nearest = from_colours.view(-1, len(palette), height, width).min(dim=1)
    mask = from_colour < from_background
    mask &= (background.background >= 0).repeat_interleave(num_frames)[:, None, None]
    labels = label_regions(mask)
    least = max(1.0, _LEAST_AREA * (min(height, width) / 2) ** 2)
    sizes = region_sizes(labels)
    main = (labels == sizes.argmax(dim=1)[:, None, None]) & mask

    certainty = (1 - from_colour / _COLOUR_REACH**2).clamp_min(0) * main
    votes = torch.zeros(len(main), len(palette)).to(video)
    votes.scatter_add_(1, nearest.flatten(1), certainty.flatten(1))
    # What no colour comes near still counts a little, for the nearest.
    votes.scatter_add_(1, nearest.flatten(1), 1e-3 * main.flatten(1).to(video))
    first, second = votes.topk(2, dim=1).indices.unbind(dim=1)
    voters = (certainty + 1e-3) * main * (nearest == first[:, None, None])
    voters = voters.flatten(1)
    colour = (pixels * voters[:, None]).sum(dim=2) / voters.sum(dim=1, keepdim=True).clamp_min(1e-6)
    present = sizes.amax(dim=1) >= least
    colour = torch.where(present[:, None], colour, palette[first])

    coverage = unmix(video, segment, colour.view(num_videos, num_frames, 3)).flatten(0, 1)
    near = largest_around(largest_around(main.to(video)))
    coverage = ((coverage - _DEAD_ZONE) / (1 - 2 * _DEAD_ZONE)).clamp(0, 1) * near
    coverage = coverage * present[:, None, None]

    # A second colour inside the region is a second object when it is more than an edge or a stain:
    # wider than two pixels, and at least twice as near to its word as to the first one's colour.
    from_first = (pixels - colour[..., None]).square().sum(dim=1).view_as(from_colour)
    other = main & (nearest == second[:, None, None]) & (4 * from_colour < from_first)
    core = ~largest_around(~other)
    num_objects = (sizes >= least).sum(dim=1) + (core.sum(dim=(1, 2)) >= least / 2)
    border = torch.cat((main[:, 0], main[:, -1], main[:, :, 0], main[:, :, -1]), dim=1)
    shape = (num_videos, num_frames)
    return Foreground(
        coverage=coverage.view(*shape, height, width),
        present=present.view(shape),
        whole=(present & ~border.any(dim=1)).view(shape),
        num_objects=num_objects.view(shape),
        colour=colour.view(*shape, 3),
        colour_distance=torch.cdist(colour, palette).view(*shape, -1),
    )


def unmix(video: Tensor, segment: Tensor, colour: Tensor) -> Tensor:
    """Return the coverage in [0, 1] of `colour` (B, T, 3) in each pixel, (B, T, H, W).

    The nearest point of the triangle (first background colour, second, sprite colour) in RGB,
    whose barycentric coordinate at the sprite colour is the coverage.
    """
    start = segment[:, 0, None, :, None, None]
    mix = segment[:, 1, None, :, None, None] - start
    lift = colour[..., None, None] - start
    pixel = video - start
    mix_mix, lift_lift = mix.square().sum(dim=2), lift.square().sum(dim=2).clamp_min(1e-6)
    mix_lift = (mix * lift).sum(dim=2)
    along_mix, along_lift = (pixel * mix).sum(dim=2), (pixel * lift).sum(dim=2)
    determinant = (mix_mix * lift_lift - mix_lift.square()).clamp_min(1e-6)
    coverage = (mix_mix * along_lift - mix_lift * along_mix) / determinant
    mixing = (lift_lift * along_mix - mix_lift * along_lift) / determinant
    # Outside the triangle the nearest point lies on an edge to the sprite colour.
    first_edge = along_lift / lift_lift
    edge_edge = (lift_lift - 2 * mix_lift + mix_mix).clamp_min(1e-6)
    second_edge = (along_lift - along_mix - mix_lift + mix_mix) / edge_edge
    coverage = torch.where(mixing < 0, first_edge, coverage)
    coverage = torch.where(mixing + coverage > 1, second_edge, coverage)
    plain = mix_mix < 1e-6
    return torch.where(plain, first_edge, coverage).clamp(0, 1)
