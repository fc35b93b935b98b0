"""The shapes, as signed distances: negative inside, zero on the edge, 1 being the radius.

A shape is centred, points up and fits a circle of radius about one; y points down, as in a picture.
"""

import math

import torch
from torch import Tensor

from kinema.sprites.words import SHAPES

ROTATION_ORDER: dict[str, int] = {
    "circle": 0,
    "square": 4,
    "triangle": 3,
    "ring": 0,
    "star": 5,
    "cross": 4,
}
"""How often a shape maps onto itself in one turn; 0 where no turn can be seen."""


def _half_plane_polygon(x: Tensor, y: Tensor, sides: int, inner_radius: float) -> Tensor:
    angles = [-math.pi / 2 + math.pi / sides + 2 * math.pi * k / sides for k in range(sides)]
    distance = torch.full_like(x, -math.inf)
    for angle in angles:
        distance = torch.maximum(distance, x * math.cos(angle) + y * math.sin(angle))
    return distance - inner_radius


def _box(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    return torch.maximum(x.abs() - half_width, y.abs() - half_height)


def _star(x: Tensor, y: Tensor) -> Tensor:
    tip, notch, half_sector = 1.12, 0.50, math.pi / 5
    # Fold the plane into half a sector: there the star has one straight edge, tip to notch.
    angle = torch.atan2(x, -y)
    folded = (angle - 2 * half_sector * torch.round(angle / (2 * half_sector))).abs()
    radius = torch.sqrt(x * x + y * y)
    u, v = radius * torch.cos(folded), radius * torch.sin(folded)
    edge_u, edge_v = notch * math.cos(half_sector) - tip, notch * math.sin(half_sector)
    length = math.hypot(edge_u, edge_v)
    return ((u - tip) * edge_v - v * edge_u) / length


def signed_distance(shape: str, x: Tensor, y: Tensor) -> Tensor:
    """Return the signed distance (any shape, as `x` and `y`) of one of `SHAPES`.

    The distance is that of the nearest edge's line, so it is exact inside and near straight edges
    and too small beyond corners, which anti-aliasing does not see.
    """
    if shape == "circle":
        return torch.sqrt(x * x + y * y) - 0.88
    if shape == "square":
        return _box(x, y, 0.78, 0.78)
    if shape == "triangle":
        return _half_plane_polygon(x, y, 3, 0.56)
    if shape == "ring":
        return (torch.sqrt(x * x + y * y) - 0.72).abs() - 0.24
    if shape == "star":
        return _star(x, y)
    if shape == "cross":
        return torch.minimum(_box(x, y, 0.92, 0.30), _box(x, y, 0.30, 0.92))
    raise ValueError(f"shape {shape!r} is not one of {SHAPES}")
