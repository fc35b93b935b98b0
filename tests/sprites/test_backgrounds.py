import itertools

import pytest
import torch

from kinema.sprites import BACKGROUNDS, COLOURS
from kinema.sprites.backgrounds import (
    NUM_STRIPE_ANGLES,
    PLAIN,
    STRIPE_PERIOD,
    background_colours,
    background_weight,
)


def weights(background: str, *, angle: float, phase: float, num: int = 64) -> torch.Tensor:
    """The weight (B, B) over the frame."""
    axis = (torch.arange(num) + 0.5) * (2 / num) - 1
    x, y = axis[None, None, None, :].expand(1, 1, num, num), axis[None, None, :, None]
    return background_weight(
        background,
        x,
        y.expand(1, 1, num, num),
        angle=torch.full((1, 1, 1, 1), angle),
        phase=torch.full((1, 1, 1, 1), phase),
        pixel=2 / num,
    )[0, 0]


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_weights_are_shares(background):
    for angle, phase in itertools.product((0.0, 0.3, 0.99), (0.0, 0.5, 0.99)):
        weight = weights(background, angle=angle, phase=phase)
        assert weight.min() >= 0
        assert weight.max() <= 1


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_only_plain_backgrounds_are_flat(background):
    spread = weights(background, angle=0.1, phase=0.2).std().item()
    assert (spread == 0) == (background in PLAIN)
    first, second = background_colours(background)
    assert (first == second) == (background in PLAIN)


def test_a_gradient_runs_the_way_of_its_angle():
    right = weights("gradient", angle=0.0, phase=0.0)
    assert (right.diff(dim=1) > 0).all()
    assert right.diff(dim=0).abs().max() < 1e-6
    down = weights("gradient", angle=0.25, phase=0.0)
    assert (down.diff(dim=0) > 0).all()
    assert torch.allclose(weights("gradient", angle=0.5, phase=0.0), right.flip(1), atol=1e-5)


def test_stripes_have_their_period_and_as_much_light_as_dark():
    row = weights("striped", angle=0.0, phase=0.3, num=880)[0]
    period = round(STRIPE_PERIOD * 440)
    assert torch.allclose(row[:-period], row[period:], atol=2e-2)
    assert row[: 3 * period].mean().item() == pytest.approx(0.5, abs=0.01)


def test_stripes_run_at_a_few_angles_and_shift_with_their_phase():
    seen = {
        tuple(weights("striped", angle=angle, phase=0.1).flatten().tolist())
        for angle in torch.linspace(0, 0.999, 50).tolist()
    }
    assert len(seen) == NUM_STRIPE_ANGLES
    assert not torch.equal(
        weights("striped", angle=0.0, phase=0.1), weights("striped", angle=0.0, phase=0.4)
    )


def test_a_texture_looks_different_elsewhere():
    here, there = (weights("textured", angle=0.2, phase=phase) for phase in (0.1, 0.6))
    correlation = torch.corrcoef(torch.stack((here.flatten(), there.flatten())))[0, 1]
    assert abs(correlation) < 0.6


def test_no_background_colour_is_near_a_sprite_colour_or_another_background():
    def points(background: str) -> torch.Tensor:
        first, second = (torch.tensor(colour) for colour in background_colours(background))
        return torch.lerp(first, second, torch.linspace(0, 1, 101)[:, None])

    for background in BACKGROUNDS:
        for colour, rgb in COLOURS.items():
            nearest = (points(background) - torch.tensor(rgb)).norm(dim=1).min()
            assert nearest > 0.33, (background, colour)
    for one, other in itertools.combinations(BACKGROUNDS, 2):
        assert torch.cdist(points(one), points(other)).min() > 0.05, (one, other)


def test_every_background_is_dimmer_and_greyer_than_every_sprite_colour():
    brightest = max(max(max(pair) for pair in background_colours(name)) for name in BACKGROUNDS)
    assert all(max(rgb) > brightest for rgb in COLOURS.values())
    most_coloured = max(
        max(colour) - min(colour) for name in BACKGROUNDS for colour in background_colours(name)
    )
    assert all(
        max(rgb) - min(rgb) > most_coloured for name, rgb in COLOURS.items() if name != "white"
    )


def test_an_unknown_background_is_named():
    with pytest.raises(ValueError, match="'sky' is not one of"):
        weights("sky", angle=0.0, phase=0.0)
