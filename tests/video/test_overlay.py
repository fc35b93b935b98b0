import subprocess
import sys

import pytest
import torch

from kinema.errors import InputError
from kinema.video import colour_map, overlay_heat_map


def test_no_opacity_shows_the_video_and_full_opacity_the_map():
    video = torch.rand(3, 3, 8, 10)
    attention = torch.rand(3, 8, 10)
    assert torch.equal(overlay_heat_map(video, attention, opacity=0), video)
    covered = overlay_heat_map(video, attention, opacity=1)
    assert torch.equal(covered, overlay_heat_map(1 - video, attention, opacity=1))


def test_the_overlay_lies_between_video_and_colours():
    video = torch.rand(2, 1, 8, 10)
    attention = torch.rand(2, 8, 10)
    colours = overlay_heat_map(video, attention, opacity=1)
    half = overlay_heat_map(video, attention, opacity=0.5)
    assert torch.allclose(half, (video + colours) / 2, atol=1e-6)
    assert 0 <= half.min() <= half.max() <= 1


def test_bytes_overlay_like_floats():
    video = (torch.rand(2, 3, 8, 10) * 255).byte()
    attention = torch.rand(2, 8, 10)
    assert torch.equal(
        overlay_heat_map(video, attention), overlay_heat_map(video.float() / 255, attention)
    )


def test_signed_values_diverge_from_white():
    values = torch.tensor([-0.5, 0.0, 0.5]).reshape(1, 1, 3)
    blue, white, red = colour_map(values)[0, :, 0].T
    assert blue[2] > blue[0]
    assert white.min() > 0.95
    assert red[0] > red[2]


def test_a_limit_makes_colours_comparable_between_clips():
    weak = colour_map(torch.full((1, 2, 2), 0.1), limit=1.0)
    strong = colour_map(torch.full((1, 2, 2), 0.9), limit=1.0)
    assert weak[0, 1].mean() > strong[0, 1].mean()
    assert torch.equal(
        colour_map(torch.full((1, 2, 2), 5.0), limit=1.0),
        colour_map(torch.full((1, 2, 2), 1.0), limit=1.0),
    )


def test_nothing_moving_is_white_throughout():
    assert colour_map(torch.zeros(2, 4, 4)).min() > 0.95


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda v, a: overlay_heat_map(v, a[1:]), r"give video\[1:\]"),
        (lambda v, a: overlay_heat_map(v, a[0]), "attention has shape"),
        (lambda v, a: overlay_heat_map(v, a * float("nan")), "attention holds NaN"),
        (lambda v, a: overlay_heat_map(v, a, opacity=2), "opacity is 2"),
        (lambda v, a: overlay_heat_map(v, a, colormap="none"), "no colormap"),
        (lambda v, a: colour_map(a, limit=0), "limit is 0"),
        (lambda v, a: colour_map(v), "values has shape"),
    ],
)
def test_what_does_not_fit_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call(torch.rand(3, 3, 4, 4), torch.rand(3, 4, 4))


def test_importing_the_package_leaves_matplotlib_alone():
    code = "import sys, kinema.video; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
