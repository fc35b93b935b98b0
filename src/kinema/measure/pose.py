"""Where an object is, how large and how turned: least squares on its coverage.

Centroid and area are right for a whole object and the start for one that the border cuts; a few
Gauss-Newton steps on the rendered shape end at the same answer for both.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinema.measure.shape import cut_patches, patch_axis, shape_area, soft_coverage
from kinema.sprites import SHAPES
from kinema.sprites.shapes import ROTATION_ORDER, signed_distance

_GRID = 32
_REACH = 1.4
_STEPS = 6
_SOFTNESS = 1.6
"""Width of the fitted edge in pixels: a rendered edge and some blur."""

_EPSILON = 0.02
_DAMPING = 1e-2
_LONGEST_STEP = 0.25
"""In radii, logarithms of the radius and radians: a slope says nothing about what is farther."""


@dataclass(frozen=True)
class Moments:
    """Centroid (N, 2) in half frame widths and area (N,) in their square, of N coverages."""

    centre: Tensor
    area: Tensor


def moments(coverage: Tensor) -> Moments:
    """Return the moments of `coverage` (N, H, W); of no coverage, area 0 in the middle."""
    height, width = coverage.shape[1:]
    pixel = 2 / min(height, width)
    x = patch_axis(width * pixel / 2, width).to(coverage)
    y = patch_axis(height * pixel / 2, height).to(coverage)
    columns, rows = coverage.sum(dim=1), coverage.sum(dim=2)
    total = columns.sum(dim=1)
    centre = torch.stack(((columns * x).sum(dim=1), (rows * y).sum(dim=1)), dim=1)
    return Moments(centre / total.clamp_min(1e-6)[:, None], total * pixel * pixel)


def fit_pose(
    coverage: Tensor, shape: Tensor, rotation: Tensor, found: Moments
) -> tuple[Tensor, Tensor, Tensor]:
    """Return centre (N, 2), radius (N,) and rotation (N,) of objects of known shape.

    Args:
        coverage: (N, H, W) in [0, 1].
        shape: index into `SHAPES`, (N,).
        rotation: where to start, in radians, (N,).
        found: the moments of the coverage.
    """
    centre, radius = found.centre.clone(), torch.ones_like(found.area)
    rotation = rotation.clone()
    for index in shape.unique().tolist():
        rows = shape == index
        start = (found.area[rows] / shape_area(SHAPES[index])).clamp_min(1e-3).sqrt()
        centre[rows], radius[rows], rotation[rows] = _descend(
            coverage[rows], SHAPES[index], centre[rows], start, rotation[rows]
        )
    return centre, radius, rotation


def _descend(
    coverage: Tensor, shape: str, centre: Tensor, radius: Tensor, rotation: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    pixel = 2 / min(coverage.shape[1:])
    axis = patch_axis(_REACH, _GRID).to(coverage)
    x = axis[None, None, :].expand(1, _GRID, -1)
    y = axis[None, :, None].expand(1, -1, _GRID)
    for _ in range(_STEPS):
        patch = cut_patches(coverage, centre, radius, reach=_REACH, grid=_GRID)
        # One edge width in radii; a patch's own step smooths a large sprite's edge further.
        edge = _SOFTNESS * (pixel / radius).clamp_min(2 * _REACH / _GRID / _SOFTNESS)
        cosine, sine = rotation.cos()[:, None, None], rotation.sin()[:, None, None]
        right, down = cosine * x + sine * y, cosine * y - sine * x

        def model(right: Tensor, down: Tensor, edge: Tensor = edge) -> Tensor:
            return soft_coverage(signed_distance(shape, right, down) / edge[:, None, None])

        along_right = (model(right + _EPSILON, down) - model(right - _EPSILON, down)) / _EPSILON / 2
        along_down = (model(right, down + _EPSILON) - model(right, down - _EPSILON)) / _EPSILON / 2
        slopes = [
            -(cosine * along_right - sine * along_down),
            -(sine * along_right + cosine * along_down),
            -(along_right * right + along_down * down),
        ]
        if ROTATION_ORDER[shape]:
            slopes.append(along_right * down - along_down * right)
        jacobian = (torch.stack(slopes, dim=-1) * patch.inside[..., None]).flatten(1, 2)
        residual = ((patch.coverage - model(right, down)) * patch.inside).flatten(1)
        normal = jacobian.mT @ jacobian
        normal = normal + _DAMPING * torch.diag_embed(normal.diagonal(dim1=1, dim2=2) + 1e-3)
        step = torch.linalg.solve(normal, jacobian.mT @ residual[..., None])[..., 0]
        step = step.clamp(-_LONGEST_STEP, _LONGEST_STEP)
        centre = centre + radius[:, None] * step[:, :2]
        radius = (radius * step[:, 2].exp()).clamp(pixel, 4)
        if ROTATION_ORDER[shape]:
            rotation = rotation + step[:, 3]
    return centre, radius, rotation
