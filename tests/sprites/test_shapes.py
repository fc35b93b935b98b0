import math

import pytest
import torch

from kinema.sprites import SHAPES
from kinema.sprites.shapes import ROTATION_ORDER, signed_distance

AREAS = {
    "circle": math.pi * 0.88**2,
    "square": 1.56**2,
    "triangle": 3 * math.sqrt(3) * 0.56**2,
    "ring": math.pi * (0.96**2 - 0.48**2),
    "star": 5 * 1.12 * 0.50 * math.sin(math.pi / 5),
    "cross": 2 * (1.84 * 0.60) - 0.60**2,
}


def plane(num: int = 1201, reach: float = 1.25) -> tuple[torch.Tensor, torch.Tensor]:
    axis = torch.linspace(-reach, reach, num, dtype=torch.float64)
    return axis[None, :].expand(num, num), axis[:, None].expand(num, num)


def turned(x: torch.Tensor, y: torch.Tensor, angle: float) -> tuple[torch.Tensor, torch.Tensor]:
    return math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_the_area_of_its_formula(shape):
    x, y = plane()
    inside = (signed_distance(shape, x, y) < 0).double()
    assert inside.mean().item() * 2.5**2 == pytest.approx(AREAS[shape], rel=5e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_centred_and_fits_its_circle(shape):
    x, y = plane()
    inside = signed_distance(shape, x, y) < 0
    assert abs(x[inside].mean().item()) < 1e-3
    assert abs(y[inside].mean().item()) < 2e-3
    reach = torch.hypot(x, y)[inside].max().item()
    assert 0.85 < reach < 1.13


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_maps_onto_itself_at_its_order_and_at_no_higher_one(shape):
    x, y = plane(301)
    distance = signed_distance(shape, x, y)
    order = ROTATION_ORDER[shape]
    for sides in range(2, 9):
        same = torch.allclose(
            signed_distance(shape, *turned(x, y, 2 * math.pi / sides)), distance, atol=1e-9
        )
        assert same == (order == 0 or order % sides == 0), sides


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_its_own_mirror_image(shape):
    x, y = plane(301)
    assert torch.allclose(signed_distance(shape, -x, y), signed_distance(shape, x, y), atol=1e-9)


@pytest.mark.parametrize("shape", ["triangle", "star"])
def test_a_pointed_shape_points_up(shape):
    x, y = plane()
    inside = signed_distance(shape, x, y) < 0
    assert y[inside].min() < -1.1
    assert abs(x[inside][y[inside].argmin()].item()) < 0.01
    assert y[inside].max() < 0.95


@pytest.mark.parametrize("shape", SHAPES)
def test_the_distance_grows_by_as_much_as_one_walks_off_an_edge(shape):
    """Anti-aliasing wants a slope of one at the edge."""
    x, y = plane(2001)
    distance = signed_distance(shape, x, y)
    step = (x[0, 1] - x[0, 0]).item()
    along_y, along_x = torch.gradient(distance, spacing=step)
    at_edge = distance.abs() < 0.01
    slope = torch.hypot(along_x, along_y)[at_edge]
    assert slope.median().item() == pytest.approx(1, abs=1e-3)
    assert ((slope - 1).abs() < 0.02).double().mean() > 0.95


def test_a_ring_is_hollow_and_a_cross_has_arms():
    zero = torch.zeros(1)
    assert signed_distance("ring", zero, zero) > 0
    assert signed_distance("cross", zero, zero) < 0
    assert signed_distance("cross", zero + 0.8, zero) < 0
    assert signed_distance("cross", zero + 0.8, zero + 0.8) > 0


def test_an_unknown_shape_is_named():
    with pytest.raises(ValueError, match="'blob' is not one of"):
        signed_distance("blob", torch.zeros(1), torch.zeros(1))
