import math

import pytest
import torch

from kinema.errors import InputError
from kinema.measure import Tracks
from kinema.measure.tracks import (
    check_found,
    check_video,
    from_pixels,
    grid_positions,
    to_pixels,
)


def test_the_grid_covers_the_frame_row_by_row_and_leaves_a_margin():
    grid = grid_positions(5, height=32, width=64)
    pixels = to_pixels(grid, height=32, width=64)
    # The margin is one pixel, a 64th of the width, from the outer edge of the first pixel.
    assert pixels[0].tolist() == pytest.approx([0.5, 0.5])
    assert pixels[4].tolist() == pytest.approx([62.5, 0.5])
    assert pixels[-1].tolist() == pytest.approx([62.5, 30.5])
    assert grid[12].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert grid_positions(1, height=32, width=64).tolist() == [[0, 0]]
    with pytest.raises(InputError, match="grid_size is 0"):
        grid_positions(0, height=32, width=64)


def test_pixels_and_half_frame_widths_are_each_others_inverse():
    corners = torch.tensor([[-0.5, -0.5], [0, 0], [79.5, 47.5]])
    positions = from_pixels(corners, height=48, width=80)
    assert positions[0].tolist() == pytest.approx([-80 / 48, -1])
    assert positions[2].tolist() == pytest.approx([80 / 48, 1])
    assert torch.allclose(to_pixels(positions, height=48, width=80), corners, atol=1e-5)


def test_tracks_that_are_none_are_refused():
    for shape in ((4, 2), (4, 1, 2), (0, 3, 2), (4, 5, 3)):
        with pytest.raises(InputError, match=r"give \(N, T, 2\)"):
            Tracks(torch.zeros(shape))
    with pytest.raises(InputError, match="not finite"):
        Tracks(torch.full((1, 2, 2), math.nan))
    with pytest.raises(InputError, match="not finite floating point"):
        Tracks(torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(InputError, match=r"a bool for each point and frame, \(3, 4\)"):
        Tracks(torch.zeros(3, 4, 2), torch.ones(3, 4))
    with pytest.raises(InputError, match="visibility"):
        Tracks(torch.zeros(3, 4, 2), torch.ones(4, 3, dtype=torch.bool))


def test_tracks_seen_in_half_of_the_frames_count():
    visible = torch.arange(4) < torch.tensor([[4], [2], [1], [0]])
    tracks = Tracks(torch.zeros(4, 4, 2), visible)
    assert tracks.counted.tolist() == [True, True, False, False]
    assert Tracks(torch.zeros(3, 4, 2)).counted.all()
    assert check_found(tracks, clip="a clip") is tracks
    with pytest.raises(InputError, match="no tracks found in a clip: none of 4 points"):
        check_found(Tracks(tracks.position, torch.zeros(4, 4, dtype=torch.bool)), clip="a clip")


@pytest.mark.parametrize(
    ("video", "said"),
    [
        (torch.zeros(1, 4, 3, 8, 8), r"car.mp4 has shape \(1, 4, 3, 8, 8\)"),
        (torch.zeros(4, 1, 8, 8), "has shape"),
        (torch.zeros(1, 3, 8, 8), "two frames or more"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.uint8), "car.mp4 is torch.uint8"),
        (torch.full((4, 3, 8, 8), math.nan), "finite"),
    ],
)
def test_what_is_not_one_video_is_refused_by_its_name(video, said):
    with pytest.raises(InputError, match=said):
        check_video(video, clip="car.mp4")
