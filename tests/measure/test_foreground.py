import itertools
from dataclasses import replace

import pytest
import torch

from kinema.measure.background import find_background
from kinema.measure.foreground import find_foreground, unmix
from kinema.sprites import BACKGROUNDS, COLOURS, render, sample_scenes
from kinema.sprites.backgrounds import PLAIN, background_colours


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("colour", ["red", "white", "green"])
def test_coverage_is_the_share_that_the_sprite_has_of_each_pixel(background, colour):
    scenes = sample_scenes(8, seed=1, backgrounds=[background], colours=[colour])
    bare = replace(
        scenes,
        colour=torch.full_like(scenes.colour, tuple(COLOURS).index("white")),
        background=torch.full_like(scenes.background, BACKGROUNDS.index("black")),
    )
    black, white = PLAIN["black"][0], COLOURS["white"][0]
    true = (render(bare).video[:, :, 0] - black) / (white - black)
    video = render(scenes).video
    found = find_foreground(video, find_background(video))
    assert (found.coverage - true).abs().max() < 0.15
    assert (found.coverage - true).square().mean().sqrt() < 0.01


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_unmixing_finds_the_nearest_point_of_the_triangle(background):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    segment = torch.tensor(background_colours(background), dtype=torch.float64)
    colour = torch.tensor(COLOURS["green"], dtype=torch.float64)
    num = 151
    mixtures = [
        (i / num, j / num) for i, j in itertools.product(range(num + 1), repeat=2) if i + j <= num
    ]
    shares = torch.tensor(mixtures, dtype=torch.float64)
    points = (
        shares[:, :1] * colour
        + shares[:, 1:] * segment[1]
        + (1 - shares.sum(dim=1, keepdim=True)) * segment[0]
    )
    slow = shares[torch.cdist(pixels, points).argmin(dim=1), 0]
    video = pixels.T.view(1, 1, 3, 10, 20)
    found = unmix(video, segment[None], colour.view(1, 1, 3)).flatten()
    assert (found - slow).abs().max() < 0.02


def test_every_frame_has_its_own_colour():
    red, blue = (
        render(sample_scenes(1, seed=1, backgrounds=["grey"], colours=[name])).video
        for name in ("red", "blue")
    )
    video = torch.cat((red[:, :8], blue[:, 8:]), dim=1)
    found = find_foreground(video, find_background(video))
    wanted = torch.tensor([COLOURS["red"]] * 8 + [COLOURS["blue"]] * 8)
    assert torch.allclose(found.colour[0], wanted, atol=0.02)
