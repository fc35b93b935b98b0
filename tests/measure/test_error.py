import math

import pytest
import torch

from kinema.errors import InputError
from kinema.measure import degrade, judge_error


def test_the_judge_keeps_its_aims_at_an_autoencoders_noise_and_blur():
    error = judge_error(96, seed=1, noise=0.03, blur=0.6)
    assert 26 < error.psnr < 32
    for name in ("colour", "shape", "background", "appearance", "one_sprite"):
        assert getattr(error, name) >= 0.99, name
    assert error.motion >= 0.97
    assert error.size >= 0.97
    assert error.position < 0.005
    assert error.position_95 < 0.01
    assert error.radius < 0.02
    # The templates alone, five degrees apart, would be wrong by 1.25 on average.
    assert error.rotation < 0.5
    assert error.colour_changes < 0.01
    assert error.shape_changes < 0.02


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_what_is_degraded_keeps_its_dtype(dtype):
    video = torch.rand(2, 3, 16, 16, dtype=dtype)
    assert degrade(video, noise=0.03, blur=0.6, seed=0).dtype == dtype


def test_what_spoils_the_videos_shows_in_the_figures():
    def lose_the_colour(video):
        return video.mean(dim=2, keepdim=True).expand_as(video).contiguous()

    seen = []

    def remember(video):
        seen.append(tuple(video.shape))
        return lose_the_colour(video)

    error = judge_error(18, seed=1, noise=0, blur=0, through=remember)
    assert seen == [(16, 16, 3, 64, 64), (2, 16, 3, 64, 64)]
    assert error.colour < 0.5
    assert error.appearance <= min(error.colour, error.background)


def test_position_is_in_frame_widths():
    shifted = judge_error(
        6, seed=1, noise=0, blur=0, through=lambda video: torch.roll(video, 2, dims=-1)
    )
    assert shifted.position == pytest.approx(2 / 64, rel=0.05)


def test_undisturbed_videos_have_infinite_psnr():
    assert judge_error(1, seed=0, noise=0, blur=0, num_frames=4).psnr == math.inf


def test_the_same_seed_gives_the_same_figures():
    first, second = (judge_error(4, seed=5, num_frames=6) for _ in range(2))
    assert first == second
    assert first != judge_error(4, seed=6, num_frames=6)
    assert set(first.as_dict()) >= {"num_videos", "psnr", "appearance", "motion", "position"}


def test_degrading_adds_the_noise_and_blur_that_are_asked_for():
    grey = torch.full((2, 3, 3, 64, 64), 0.5)
    noisy = degrade(grey, noise=0.03, blur=0, seed=0)
    assert (noisy - grey).std().item() == pytest.approx(0.03, rel=0.05)
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1
    spread = degrade(point, noise=0, blur=1.5, seed=0)[0, 0]
    place = torch.arange(33.0) - 16
    assert spread.sum().item() == pytest.approx(1, abs=1e-5)
    assert (spread.sum(0) * place * place).sum().sqrt().item() == pytest.approx(1.5, rel=0.03)
    assert torch.equal(degrade(grey, noise=0, blur=0, seed=0), grey)


@pytest.mark.parametrize("wrong", [{"num_videos": 0}, {"noise": -1}, {"blur": -0.5}])
def test_figures_of_nothing_are_refused(wrong):
    settings = {"num_videos": 1, "noise": 0, "blur": 0, **wrong}
    with pytest.raises(InputError, match="give 1 or more"):
        judge_error(settings.pop("num_videos"), seed=0, **settings)
