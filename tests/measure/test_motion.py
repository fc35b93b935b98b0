import math

import pytest
import torch

from kinema.measure.motion import Track, classify_motion
from kinema.sprites import MOTIONS
from kinema.sprites.motions import pose

NAMES = tuple(MOTIONS)


def track_of(motion: str, *, num: int = 32, num_frames: int = 16, order: int = 4, seed: int = 0):
    """Tracks of a motion as the renderer draws them, with the judge's jitter many times over."""
    generator = torch.Generator().manual_seed(seed)

    def jitter(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    posed = pose(
        motion,
        torch.linspace(0, 1, num_frames),
        extent=0.85 + 0.3 * torch.rand(num, generator=generator),
        phase=torch.rand(num, generator=generator),
    )
    return Track(
        position=posed.offset + 0.01 * jitter(num, num_frames, 2) + 0.1 * jitter(num, 1, 2),
        radius=0.4 * posed.scale * (1 + 0.02 * jitter(num, num_frames)),
        rotation=posed.rotation + 0.03 * jitter(num, num_frames),
        order=torch.full((num,), order),
        seen=torch.ones(num, num_frames, dtype=torch.bool),
    )


def words(track: Track) -> set[str | None]:
    found = classify_motion(track)[0]
    return {NAMES[index] if index >= 0 else None for index in found.tolist()}


@pytest.mark.parametrize("num_frames", [10, 16, 33])
@pytest.mark.parametrize("motion", MOTIONS)
def test_every_motion_is_told_from_its_track(motion, num_frames):
    track = track_of(motion, num_frames=num_frames)
    assert words(track) == {motion}
    assert (classify_motion(track)[1] > 0.3).all()


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_motion_is_told_when_frames_are_missing(motion):
    track = track_of(motion)
    seen = torch.rand(track.seen.shape, generator=torch.Generator().manual_seed(1)) < 0.8
    position = torch.where(seen[..., None], track.position, 9.0)
    track = Track(position, track.radius, track.rotation, track.order, seen)
    right = classify_motion(track)[0] == NAMES.index(motion)
    assert right.float().mean() > 0.9


def test_rotation_is_compared_modulo_the_symmetry():
    track = track_of("spin-clockwise", order=5)
    sector = 2 * math.pi / 5
    jumps = torch.randint(-3, 4, track.rotation.shape, generator=torch.Generator().manual_seed(0))
    folded = Track(
        track.position, track.radius, track.rotation + jumps * sector, track.order, track.seen
    )
    assert words(folded) == {"spin-clockwise"}


def test_what_cannot_be_seen_to_turn_does_not_spin():
    assert words(track_of("spin-clockwise", order=0)) == {"still"}


def test_a_hardly_moving_track_is_still():
    moving = track_of("right")
    slow = Track(0.1 * moving.position, moving.radius, moving.rotation, moving.order, moving.seen)
    assert words(slow) == {"still"}


def test_an_exactly_resting_track_is_still():
    rest = Track(
        torch.zeros(2, 16, 2),
        torch.ones(2, 16),
        torch.zeros(2, 16),
        torch.tensor([0, 4]),
        torch.ones(2, 16, dtype=torch.bool),
    )
    assert words(rest) == {"still"}


def test_a_wild_track_is_none_of_the_motions():
    track = track_of("still")
    wild = torch.rand(track.position.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    lost = Track(wild, track.radius, track.rotation, track.order, track.seen)
    assert words(lost) == {None}


def test_too_few_frames_have_no_motion():
    track = track_of("right")
    seen = torch.zeros_like(track.seen)
    seen[:, :7] = True
    half = Track(track.position, track.radius, track.rotation, track.order, seen)
    assert words(half) == {None}
    short = track_of("right", num_frames=3)
    motion, margin, costs = classify_motion(short)
    assert (motion == -1).all()
    assert (margin == 0).all()
    assert torch.isfinite(costs).all()
