from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from kinema.measure import sprite_tracks
from kinema.measure.sprite_tracks import points_on_sprite
from kinema.measure.tracks import grid_positions
from kinema.sprites import Nuisances, Rendering, render, sample_scenes


def colours_along(rendering: Rendering, index: int, position: torch.Tensor) -> torch.Tensor:
    """The pixels under points (N, T, 2) of each frame, (N, T, 3)."""
    height, width = rendering.video.shape[3:]
    half = torch.tensor((width, height)) / min(height, width)
    where = (position / half).transpose(0, 1)[:, :, None]
    seen = F.grid_sample(rendering.video[index], where, align_corners=False, padding_mode="border")
    return seen[..., 0].permute(2, 0, 1)


@pytest.mark.parametrize("motion", ["up-left", "zigzag", "grow", "shrink", "spin-clockwise"])
def test_a_point_keeps_its_colour_along_its_true_track(motion):
    """Away from edges, where a pixel mixes both, what a track sees does not change."""
    scenes = sample_scenes(
        4,
        seed=0,
        motions=[motion],
        backgrounds=["textured"],
        shapes=["square", "cross", "star"],
        nuisances=Nuisances(camera=0.4),
    )
    rendering = render(scenes, num_frames=8, height=96, width=128)
    for index in range(4):
        tracks = sprite_tracks(rendering, index, grid_size=40)
        seen = colours_along(rendering, index, tracks.position)
        apart = (seen - seen[:, :1]).abs().amax(dim=2)
        kept = (apart < 0.15) | ~tracks.visible
        # The rest lie within a pixel of the sprite's edge.
        assert kept.float().mean() > 0.97
        on = points_on_sprite(rendering, index, tracks.position[:, :1])[:, 0]
        assert 10 < on.sum() < len(on) - 10


def test_points_on_the_sprite_go_with_it_and_the_others_with_the_camera():
    scenes = sample_scenes(1, seed=5, motions=["right"], nuisances=Nuisances(camera=0.3))
    rendering = render(scenes)
    tracks = sprite_tracks(rendering, grid_size=16)
    on = points_on_sprite(rendering, 0, tracks.position[:, :1])[:, 0]
    steps = tracks.position.diff(dim=1)
    for points, path in ((on, rendering.trajectory[0]), (~on, rendering.camera[0])):
        moved = steps[points]
        assert len(moved) > 10
        assert torch.allclose(moved, path.diff(dim=0).expand_as(moved), atol=1e-6)
    grid = grid_positions(16, height=64, width=64)
    assert torch.allclose(tracks.position[:, 0], grid, atol=1e-6)


def test_a_point_is_seen_inside_the_frame_and_where_nothing_covers_it():
    scenes = sample_scenes(1, seed=5, motions=["right"])
    scenes = replace(scenes, centre=torch.tensor([[0.6, 0.0]]), extent=torch.tensor([1.0]))
    rendering = render(scenes)
    tracks = sprite_tracks(rendering, grid_size=32)
    on = points_on_sprite(rendering, 0, tracks.position[:, :1])[:, 0]
    inside = (tracks.position.abs() <= 1).all(dim=2)
    assert torch.equal(tracks.visible[on], inside[on])
    assert not inside[on].all()
    covered = points_on_sprite(rendering, 0, tracks.position)[~on]
    assert covered.any()
    assert torch.equal(tracks.visible[~on], ~covered)
