"""The judge of sprites videos: from pixels to words and tracks, without a network."""

import math

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.measure.background import find_background
from kinema.measure.foreground import find_foreground
from kinema.measure.judgement import Judgement, concatenate
from kinema.measure.motion import Track, classify_motion
from kinema.measure.pose import fit_pose, moments
from kinema.measure.shape import match_shapes
from kinema.sprites import SHAPES, SIZES
from kinema.sprites.shapes import ROTATION_ORDER

_BATCH = 8
"""Videos judged at once: as many as stay in a processor's cache."""

_LEAST_SIDE = 16


@torch.no_grad()
def judge(video: Tensor) -> Judgement:
    """Return what sprites videos show, measured by analysis through synthesis.

    Args:
        video: (B, T, 3, H, W) floating point, RGB in [0, 1]; values beyond are clipped and NaN
            counts as black. H and W are 16 or more.

    Raises:
        InputError: another rank, other channels, integer values, smaller frames or no video.
    """
    if video.ndim != 5 or video.shape[2] != 3:
        raise InputError(f"video has shape {tuple(video.shape)}; give (B, T, 3, H, W)")
    if not video.is_floating_point():
        raise InputError(f"video is {video.dtype}; give floating point in [0, 1]")
    if video.shape[0] < 1 or video.shape[1] < 1 or min(video.shape[3:]) < _LEAST_SIDE:
        raise InputError(
            f"video has shape {tuple(video.shape)}; give one video or more, one frame or more and "
            f"{_LEAST_SIDE} pixels or more a side"
        )
    video = video.detach().float().nan_to_num(0.0).clamp(0, 1)
    return concatenate([_judge(part) for part in video.split(_BATCH)])


def _judge(video: Tensor) -> Judgement:
    num_videos, num_frames = video.shape[:2]
    background = find_background(video)
    foreground = find_foreground(video, background)
    present = foreground.present
    coverage = foreground.coverage.flatten(0, 1)
    found = moments(coverage)

    cost, start = match_shapes(coverage, found.centre, found.area)
    cost = cost.view(num_videos, num_frames, -1)
    area = found.area.view(num_videos, num_frames)
    # A cut sprite looks like another shape, so it speaks only where no frame shows a whole one.
    speaks = torch.where(foreground.whole.any(dim=1, keepdim=True), foreground.whole, present)
    shape, shape_margin = _least((cost * (area * speaks)[..., None]).sum(dim=1))
    anything = present.any(dim=1)

    of_frame = shape[:, None].expand(-1, num_frames).flatten()
    start = start.gather(1, of_frame[:, None])[:, 0]
    centre, radius, rotation = fit_pose(coverage, of_frame, start, found)
    centre = centre.view(num_videos, num_frames, 2)
    radius = radius.view(num_videos, num_frames)
    order = torch.tensor([ROTATION_ORDER[name] for name in SHAPES]).to(shape)[shape]
    rotation = _unwrap(rotation.view(num_videos, num_frames), order, present)
    filled = _fill(torch.cat((centre, radius[..., None], rotation[..., None]), dim=-1), present)
    trajectory, radius, rotation = filled[..., :2], filled[..., 2], filled[..., 3]

    motion, motion_margin, motion_cost = classify_motion(
        Track(trajectory, radius, rotation, order, present)
    )
    colour, colour_margin = _least((foreground.colour_distance * present[..., None]).sum(dim=1))
    size, size_margin = _size(radius, present)

    def only_if_any(word: Tensor) -> Tensor:
        return torch.where(anything, word, -1)

    def margin_if_any(margin: Tensor) -> Tensor:
        return torch.where(anything, margin, 0.0)

    votes = foreground.colour_distance.argmin(dim=-1)
    return Judgement(
        present=present,
        num_sprites=foreground.num_objects,
        trajectory=trajectory,
        radius=radius,
        rotation=rotation,
        sprite_colour=foreground.colour,
        size=only_if_any(size),
        colour=only_if_any(colour),
        shape=only_if_any(shape),
        background=background.background,
        motion=motion,
        size_margin=margin_if_any(size_margin),
        colour_margin=margin_if_any(colour_margin),
        shape_margin=margin_if_any(shape_margin),
        background_margin=background.margin,
        motion_margin=motion_margin,
        motion_cost=motion_cost,
        colour_votes=torch.where(present, votes, -1),
        shape_votes=torch.where(foreground.whole, cost.argmin(dim=-1), -1),
    )


def _least(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Return the index of the least cost of each row and its margin."""
    least, order = cost.sort(dim=1)
    return order[:, 0], 1 - least[:, 0] / least[:, 1].clamp_min(1e-9)


def _size(radius: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Return the size word and its margin, from the mean logarithm of the radius.

    Growing and shrinking pass evenly through the logarithms of their sizes, so it suits them too.
    """
    weight = present.to(radius)
    level = (weight * radius.clamp_min(1e-3).log()).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
    nominal = torch.tensor(tuple(SIZES.values())).to(level).log()
    return _least((level[:, None] - nominal).abs())


def _unwrap(rotation: Tensor, order: Tensor, present: Tensor) -> Tensor:
    """Choose, of the equivalent rotations in each frame, the one nearest to the frame before."""
    sector = 2 * math.pi / order.clamp_min(1).to(rotation)
    last = torch.zeros_like(rotation[:, 0])
    unwrapped = []
    for angle, there in zip(rotation.unbind(dim=1), present.unbind(dim=1), strict=True):
        angle = angle - sector * torch.round((angle - last) / sector)
        last = torch.where(there, angle, last)
        unwrapped.append(last)
    return torch.stack(unwrapped, dim=1) * (order > 0)[:, None]


def _fill(values: Tensor, present: Tensor) -> Tensor:
    """Return `values` (B, T, C), linear in time where not present; 0 if present nowhere."""
    num_frames = present.shape[1]
    frame = torch.arange(num_frames, device=values.device)
    before = torch.where(present, frame, -1).cummax(dim=1).values
    after = torch.where(present, frame, num_frames).flip(1).cummin(dim=1).values.flip(1)
    first = torch.where(before < 0, after, before).clamp_max(num_frames - 1)
    last = torch.where(after >= num_frames, before, after).clamp_min(0)
    share = ((frame - first) / (last - first).clamp_min(1)).clamp(0, 1)
    width = values.shape[2]
    start = values.gather(1, first[..., None].expand(-1, -1, width))
    end = values.gather(1, last[..., None].expand(-1, -1, width))
    filled = torch.lerp(start, end, share[..., None].to(values))
    return filled * present.any(dim=1)[:, None, None]
