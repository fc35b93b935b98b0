import pytest
import torch

from kinema.measure.background import distance_to_segment, find_background
from kinema.sprites import BACKGROUNDS, render, sample_scenes
from kinema.sprites.backgrounds import background_colours


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_the_colours_of_a_background_are_found_as_they_are_in_the_video(background):
    tint = torch.tensor((0.04, -0.01, 0.03))
    video = render(sample_scenes(6, seed=0, backgrounds=[background])).video
    found = find_background(video + tint[:, None, None])
    assert (found.background == BACKGROUNDS.index(background)).all()
    segment = torch.tensor(background_colours(background))
    # A tint along the segment cannot be told from another mixture, so distance is what counts.
    tinted = (segment + tint).expand(6, 2, 3).mT[:, None, :, None, :]
    before = distance_to_segment(tinted, segment.expand(6, 2, 3))[0]
    after = distance_to_segment(tinted, found.segment)[0]
    assert after.mean() < 0.5 * before.mean()


def test_distance_to_a_segment_is_the_least_distance_to_its_points():
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(3, 2, 3, 4, 5, generator=generator, dtype=torch.float64)
    segment = torch.rand(3, 2, 3, generator=generator, dtype=torch.float64)
    distance, nearest, weight = distance_to_segment(video, segment)
    share = torch.linspace(0, 1, 2001, dtype=torch.float64)[:, None]
    for b in range(3):
        points = torch.lerp(segment[b, 0], segment[b, 1], share)
        pixels = video[b].permute(0, 2, 3, 1).reshape(-1, 3)
        least, where = torch.cdist(pixels, points).min(dim=1)
        assert torch.allclose(distance[b].flatten().sqrt(), least, atol=1e-3)
        assert torch.allclose(weight[b].flatten(), share[where, 0], atol=1e-3)
        found = nearest[b].permute(0, 2, 3, 1).reshape(-1, 3)
        assert torch.allclose(found, points[where], atol=1e-3)
