"""Which shape an object has: its coverage against rendered templates.

Every shape's centroid is its middle, so centroid and area of the coverage put an object into a
frame of its own, where all sizes and places look alike and only rotation is left to try.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.sprites import SHAPES
from kinema.sprites.shapes import ROTATION_ORDER, signed_distance

_GRID = 28
_REACH = 1.0
"""Half width of a patch in square roots of the object's area: the tips of triangle and star fit."""

_ANGLE_STEP = math.radians(5)
_SCALES = (0.92, 1.0, 1.08)
_SHARP = 0.06
"""Width of a template's edge before it is blurred, in units of the patch."""

_BLURS = (0.0, 0.08, 0.16, 0.24)
"""Deviations of a Gaussian, in units of the patch: a decoder rounds the tips of a small star."""

_MARGIN = 10
"""Steps of the grid beyond a template, from which a blur draws."""


@dataclass(frozen=True)
class Patches:
    """Objects of N frames, each seen in a frame of its own.

    Attributes:
        coverage: (N, P, P).
        inside: 1 where the patch lies inside the frame, (N, P, P).
        centre: its middle in half frame widths, (N, 2).
        unit: half frame widths that one unit of the patch spans, (N,).
    """

    coverage: Tensor
    inside: Tensor
    centre: Tensor
    unit: Tensor


def cut_patches(
    coverage: Tensor, centre: Tensor, unit: Tensor, *, reach: float, grid: int
) -> Patches:
    """Sample `coverage` (N, H, W) on a square grid from -reach to reach units around `centre`."""
    height, width = coverage.shape[1:]
    half = torch.tensor((width, height)).to(coverage) / min(height, width)
    steps = patch_axis(reach, grid).to(coverage)
    x = (centre[:, 0, None] + unit[:, None] * steps) / half[0]
    y = (centre[:, 1, None] + unit[:, None] * steps) / half[1]
    where = torch.stack(
        (x[:, None, :].expand(-1, grid, -1), y[:, :, None].expand(-1, -1, grid)), dim=-1
    )
    patch = F.grid_sample(coverage[:, None], where, padding_mode="border", align_corners=False)
    inside = (where.abs() <= 1).all(dim=-1).to(coverage)
    return Patches(patch[:, 0], inside, centre, unit)


def patch_axis(reach: float, grid: int) -> Tensor:
    """Return the coordinates of a patch's columns (and rows), (grid,)."""
    return ((torch.arange(grid) + 0.5) * (2 / grid) - 1) * reach


@cache
def shape_area(shape: str) -> float:
    """Return the area of a shape whose radius is one."""
    axis = patch_axis(1.25, 1000).double()
    inside = signed_distance(shape, axis[None, :], axis[:, None] + 0 * axis[None, :]) < 0
    return inside.double().mean().item() * 2.5**2


@cache
def _templates() -> tuple[Tensor, Tensor, Tensor]:
    """Return templates (K, P * P), the shape of each (K,) and the rotation of each (K,)."""
    grid = _GRID + 2 * _MARGIN
    axis = patch_axis(_REACH * grid / _GRID, grid)
    x, y = axis[None, :].expand(grid, -1), axis[:, None].expand(-1, grid)
    blurs = [_blur(axis, deviation) for deviation in _BLURS]
    pictures, shapes, rotations = [], [], []
    for index, shape in enumerate(SHAPES):
        order = ROTATION_ORDER[shape]
        sector = 2 * math.pi / order if order else _ANGLE_STEP
        for step in range(round(sector / _ANGLE_STEP)):
            angle = step * sector / round(sector / _ANGLE_STEP)
            right = math.cos(angle) * x + math.sin(angle) * y
            down = math.cos(angle) * y - math.sin(angle) * x
            for scale in _SCALES:
                radius = scale / math.sqrt(shape_area(shape))
                distance = signed_distance(shape, right / radius, down / radius) * radius
                sharp = soft_coverage(distance / _SHARP)
                for blur in blurs:
                    pictures.append((blur @ sharp @ blur.T).flatten())
                    shapes.append(index)
                    rotations.append(angle)
    return torch.stack(pictures), torch.tensor(shapes), torch.tensor(rotations)


def _blur(axis: Tensor, deviation: float) -> Tensor:
    """Return the matrix (P, P + 2 * margin) that blurs along `axis` and takes the margins off."""
    middle = axis[_MARGIN:-_MARGIN]
    if not deviation:
        return (middle[:, None] == axis).to(axis)
    kernel = torch.exp(-0.5 * ((middle[:, None] - axis) / deviation).square())
    return kernel / kernel.sum(dim=1, keepdim=True)


def soft_coverage(distance: Tensor) -> Tensor:
    """Return the coverage at a signed distance in widths of the edge: 1 within, 0 beyond."""
    share = (0.5 - 0.6 * distance).clamp(0, 1)
    return share * share * (3 - 2 * share)


def match_shapes(coverage: Tensor, centre: Tensor, area: Tensor) -> tuple[Tensor, Tensor]:
    """Compare objects with every shape.

    Args:
        coverage: (N, H, W) in [0, 1].
        centre: centroid of each object in half frame widths, (N, 2).
        area: in square half frame widths, (N,).

    Returns:
        The cost of each shape, mean squared difference of coverage over the patch, (N, 6), and the
        rotation at which each fits best, in radians, (N, 6).
    """
    pictures, shapes, rotations = (part.to(coverage.device) for part in _templates())
    patches = cut_patches(coverage, centre, area.clamp_min(1e-4).sqrt(), reach=_REACH, grid=_GRID)
    inside = patches.inside.flatten(1)
    seen = patches.coverage.flatten(1) * inside
    cost = (
        (seen * seen).sum(dim=1, keepdim=True)
        - 2 * seen @ pictures.T
        + inside @ pictures.square().T
    ) / inside.sum(dim=1, keepdim=True).clamp_min(1)
    costs, angles = [], []
    for index in range(len(SHAPES)):
        columns = (shapes == index).nonzero()[:, 0]
        least, best = cost[:, columns].min(dim=1)
        costs.append(least.clamp_min(0))
        angles.append(rotations[columns][best])
    return torch.stack(costs, dim=1), torch.stack(angles, dim=1)
