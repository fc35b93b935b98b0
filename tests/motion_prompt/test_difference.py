import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.motion_prompt import GREY_WEIGHTS, frame_difference, grey_frames


def slow_grey(frames):
    batch, time, _, height, width = frames.shape
    grey = torch.zeros(batch, time, height, width, dtype=torch.float64)
    for b in range(batch):
        for t in range(time):
            for y in range(height):
                for x in range(width):
                    red, green, blue = (float(v) for v in frames[b, t, :, y, x])
                    grey[b, t, y, x] = 0.299 * red + 0.587 * green + 0.114 * blue
    return grey


def slow_difference(frames):
    grey = slow_grey(frames)
    return torch.stack([grey[:, t + 1] - grey[:, t] for t in range(grey.shape[1] - 1)], dim=1)


def rgb_frames(*shape, seed=0, dtype=torch.float64):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_a_grey_frame_weighs_red_green_and_blue():
    frames = rgb_frames(2, 3, 3, 4, 5)
    torch.testing.assert_close(grey_frames(frames), slow_grey(frames), rtol=0, atol=1e-15)
    assert sum(GREY_WEIGHTS) == pytest.approx(1.0)


def test_a_normalised_clip_has_the_difference_of_the_frames_it_came_from():
    frames = rgb_frames(2, 4, 3, 3, 5)
    mean = torch.tensor([0.4, 0.5, 0.6], dtype=torch.float64).view(3, 1, 1)
    std = (0.2, 0.25, 0.3)
    clip = (frames - mean) / torch.tensor(std, dtype=torch.float64).view(3, 1, 1)
    found = frame_difference(clip, std=std)
    torch.testing.assert_close(found, slow_difference(frames), rtol=0, atol=1e-14)


def test_black_to_white_is_one_and_back_is_minus_one():
    frames = torch.zeros(1, 3, 3, 2, 2)
    frames[:, 1] = 1
    found = frame_difference(frames)
    torch.testing.assert_close(found[:, 0], torch.ones(1, 2, 2))
    torch.testing.assert_close(found[:, 1], -torch.ones(1, 2, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_differenced_in_float32(dtype):
    clip = rgb_frames(1, 3, 3, 4, 4).to(dtype)
    found = frame_difference(clip)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), slow_difference(clip), rtol=0, atol=1e-6)


def test_autocast_does_not_coarsen_the_difference():
    clip = rgb_frames(1, 3, 3, 4, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = frame_difference(clip)
    torch.testing.assert_close(found.double(), slow_difference(clip), rtol=0, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), time=st.integers(2, 6), side=st.integers(1, 5))
def test_differences_stay_within_one_and_change_sign_when_time_runs_backwards(seed, time, side):
    frames = rgb_frames(1, time, 3, side, side + 1, seed=seed)
    found = frame_difference(frames)
    assert found.shape == (1, time - 1, side, side + 1)
    assert found.abs().max() <= 1
    torch.testing.assert_close(frame_difference(frames.flip(1)), -found.flip(1), rtol=0, atol=0)
    torch.testing.assert_close(
        found.sum(1), grey_frames(frames)[:, -1] - grey_frames(frames)[:, 0], rtol=0, atol=1e-12
    )
