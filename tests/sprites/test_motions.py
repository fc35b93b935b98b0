import math

import pytest
import torch

from kinema.sprites import MOTIONS
from kinema.sprites.motions import SCALE_RANGE, SPIN_TURNS, TRAVEL, Pose, pose, wander

MOMENT = torch.linspace(0, 1, 33)
COMPASS = {
    "right": (1, 0),
    "down-right": (1, 1),
    "down": (0, 1),
    "down-left": (-1, 1),
    "left": (-1, 0),
    "up-left": (-1, -1),
    "up": (0, -1),
    "up-right": (1, -1),
}


def posed(motion: str, *, extent: float = 1.0, phases: tuple[float, ...] = (0.1, 0.7)) -> Pose:
    phase = torch.tensor(phases)
    return pose(motion, MOMENT, extent=torch.full_like(phase, extent), phase=phase)


@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_poses_every_scene_at_every_moment(motion):
    found = posed(motion)
    assert found.offset.shape == (2, 33, 2)
    assert found.scale.shape == found.rotation.shape == (2, 33)
    assert all(torch.isfinite(part).all() for part in (found.offset, found.scale, found.rotation))


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_motion_changes_place_or_size_or_rotation_and_nothing_else(motion):
    found = posed(motion)
    moves = bool(found.offset.std(dim=1).max() > 1e-4)
    resizes = bool(found.scale.std(dim=1).max() > 1e-4)
    turns = bool(found.rotation.std(dim=1).max() > 1e-4)
    assert (moves, resizes, turns) == {
        "grow": (False, True, False),
        "shrink": (False, True, False),
        "spin-clockwise": (False, False, True),
        "spin-counterclockwise": (False, False, True),
        "still": (False, False, False),
    }.get(motion, (True, False, False))


@pytest.mark.parametrize("motion", COMPASS)
def test_a_direction_goes_straight_and_evenly_the_way_it_says(motion):
    steps = posed(motion).offset.diff(dim=1)
    way = torch.tensor(COMPASS[motion], dtype=torch.float32)
    way = way / way.norm() * TRAVEL / 32
    assert torch.allclose(steps, way.expand_as(steps), atol=1e-6)
    assert torch.allclose(posed(motion).offset.mean(dim=1), torch.zeros(2, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("motion", "way"), [("circle-clockwise", 1), ("circle-counterclockwise", -1)]
)
def test_a_circle_closes_after_one_turn_the_way_it_says(motion, way):
    offset = posed(motion).offset
    assert torch.allclose(offset[:, 0], offset[:, -1], atol=1e-5)
    radius = offset.norm(dim=2)
    assert torch.allclose(radius, radius[:, :1].expand_as(radius), atol=1e-5)
    first, then = offset[:, :-1], offset[:, 1:]
    # With y down, right turning to down is clockwise as seen: a positive cross product.
    turned = first[..., 0] * then[..., 1] - first[..., 1] * then[..., 0]
    assert (way * turned > 0).all()
    assert torch.asin(turned / radius[:, 1:] ** 2).sum(dim=1).tolist() == pytest.approx(
        [way * 2 * math.pi] * 2, rel=1e-3
    )


@pytest.mark.parametrize(("motion", "way"), [("spin-clockwise", 1), ("spin-counterclockwise", -1)])
def test_a_spin_turns_the_way_it_says(motion, way):
    rotation = posed(motion, extent=1.1).rotation
    assert (way * rotation.diff(dim=1) > 0).all()
    turned = (rotation[:, -1] - rotation[:, 0]).tolist()
    assert turned == pytest.approx([way * 2 * math.pi * SPIN_TURNS * 1.1] * 2)


def test_growing_and_shrinking_are_one_another_backwards():
    grow, shrink = posed("grow").scale, posed("shrink").scale
    assert (grow.diff(dim=1) > 0).all()
    assert torch.allclose(grow, shrink.flip(1), atol=1e-6)
    assert (grow[0, 0].item(), grow[0, -1].item()) == pytest.approx(SCALE_RANGE)


def test_a_zigzag_goes_on_sideways_and_to_and_fro_across():
    offset = posed("zigzag").offset
    steps = offset.diff(dim=1)
    assert (steps[0, :, 0] > 0).all()
    assert (steps[1, :, 0] < 0).all()
    turns = (steps[..., 1].sign().diff(dim=1) != 0).sum(dim=1)
    assert turns.tolist() == [4, 4]


def test_a_bounce_touches_the_ground_at_both_ends_and_once_between():
    offset = posed("bounce").offset
    assert offset[..., 0].abs().max() == 0
    height = -offset[0, :, 1]
    assert height[[0, 16, 32]].tolist() == pytest.approx([height.min().item()] * 3, abs=1e-5)
    assert height[[8, 24]].tolist() == pytest.approx([height.max().item()] * 2)
    # Fast at the ground, slow at the top.
    assert height.diff()[0] > 3 * height.diff()[7].abs()


def test_a_shake_goes_to_and_fro_often_and_not_far():
    offset = posed("shake").offset
    assert offset[..., 1].abs().max() == 0
    assert 0.1 < offset[..., 0].abs().max() < 0.2
    turns = (offset[..., 0].diff(dim=1).sign().diff(dim=1) != 0).sum(dim=1)
    assert (turns >= 6).all()


@pytest.mark.parametrize("motion", [*COMPASS, "circle-clockwise", "bounce", "shake"])
def test_a_larger_extent_goes_farther(motion):
    near, far = (posed(motion, extent=extent).offset.std(dim=1) for extent in (0.85, 1.15))
    assert torch.allclose(far, near * 1.15 / 0.85, rtol=1e-3, atol=1e-6)


def test_an_unknown_motion_is_named():
    with pytest.raises(ValueError, match="'fly' is not one of"):
        posed("fly")


def test_a_sprite_that_wanders_goes_evenly_as_far_and_as_bent_as_it_is_told():
    length, heading, bend = 0.7, 0.4, torch.tensor([0.0, 1e-4, 1.9, -2.5])
    moment = torch.linspace(0, 1, 1001, dtype=torch.float64)
    way = torch.stack([torch.full_like(bend, length), torch.full_like(bend, heading), bend], dim=1)
    found = wander(moment, way.double())
    steps = found.offset.diff(dim=1)
    assert torch.allclose(steps.norm(dim=2), torch.tensor(length / 1000).double(), rtol=1e-4)
    turned = torch.atan2(steps[..., 1], steps[..., 0])
    wanted = heading + bend[:, None] * (moment[None, 1:] - 0.5005)
    assert torch.allclose(turned, wanted, atol=1e-3)
    assert torch.allclose(found.offset[:, 500], torch.zeros(4, 2).double(), atol=1e-9)
    assert torch.equal(found.scale, torch.ones_like(found.scale))
    assert torch.equal(found.rotation, torch.zeros_like(found.rotation))
