import math
from itertools import pairwise

import pytest
import torch

from kinema.errors import InputError
from kinema.motion_prompt import (
    REPRESENTATIONS,
    frame_difference,
    grey_frames,
    grey_short_term,
    represent,
    taylor_frames,
)


def rgb_frames(num_frames, dtype=torch.float64):
    generator = torch.Generator().manual_seed(num_frames)
    return torch.rand(2, num_frames, 3, 3, 4, generator=generator, dtype=dtype)


def labelled_frames(num_frames):
    """Frames whose every value names its frame and colour: 1R is 10, 2G is 21, 3B is 32."""
    frame, colour = torch.meshgrid(torch.arange(1, num_frames + 1), torch.arange(3), indexing="ij")
    values = (10 * frame + colour).float()
    return values.view(1, num_frames, 3, 1, 1).expand(1, num_frames, 3, 2, 2)


def named(words):
    return [[10 * int(word[0]) + "RGB".index(word[1]) for word in group.split()] for group in words]


@pytest.mark.parametrize(
    ("name", "num_frames", "groups"),
    [
        ("TC", 6, ["1R 2R 3R", "2G 3G 4G", "3B 4B 5B", "4R 5R 6R", "5G 6G 6G", "6B 6B 6B"]),
        ("TC+2", 6, ["1R 2R 3R", "2G 3G 4G", "3B 4B 5B", "4R 5R 6R"]),
        ("TCrgb", 4, ["1R 2G 3B", "2R 3G 4B", "3R 4G 4B", "4R 4G 4B"]),
        ("TCred", 4, ["1R 2R 3R", "2R 3R 4R", "3R 4R 4R", "4R 4R 4R"]),
        ("TC", 1, ["1R 1R 1R"]),
    ],
)
def test_time_colour_takes_the_published_frame_and_colour_for_each_channel(
    name, num_frames, groups
):
    found = represent(labelled_frames(num_frames), name)
    assert found[0, :, :, 0, 0].tolist() == named(groups)
    assert found[0, :, :, 1, 1].tolist() == named(groups)


def test_greyst_stacks_three_consecutive_grey_frames():
    frames = rgb_frames(7)
    grey = grey_frames(frames)
    sliding, triples = grey_short_term(frames), grey_short_term(frames, step=3)
    assert sliding.shape == (2, 5, 3, 3, 4)
    assert triples.shape == (2, 2, 3, 3, 4)
    for i in range(3):
        for k in range(5):
            assert torch.equal(sliding[:, k, i], grey[:, k + i])
        for k in range(2):
            assert torch.equal(triples[:, k, i], grey[:, 3 * k + i])


def slow_taylor(frames, num_terms, length):
    """Each pixel by itself, in Python numbers."""
    grey = grey_frames(frames)
    batch, num_frames, height, width = grey.shape
    out = torch.zeros(batch, num_frames - length + 1, 3, height, width, dtype=torch.float64)
    for b, start, y, x in torch.cartesian_prod(*map(torch.arange, (batch, *out.shape[1:2], 3, 4))):
        values = grey[b, start : start + length, y, x].tolist()
        derivative = [values]
        for _ in range(num_terms + 2):
            last = derivative[-1]
            derivative.append([q - p for p, q in pairwise(last)])
        for channel in range(3):
            total = 0.0
            for value in values:
                for k in range(num_terms):
                    at_first = derivative[channel + 1 + k][0]
                    total += at_first / math.factorial(k) * (value - values[0]) ** k
            out[b, start, channel, y, x] = total / length
    return out


@pytest.mark.parametrize(("num_terms", "length"), [(1, 4), (3, 6), (3, 8)])
def test_taylor_frames_are_the_mean_series_of_displacement_velocity_and_acceleration(
    num_terms, length
):
    frames = rgb_frames(9)
    found = taylor_frames(frames, num_terms=num_terms, block_length=length, rescale=False)
    torch.testing.assert_close(found, slow_taylor(frames, num_terms, length), rtol=0, atol=1e-12)


def test_rescaled_taylor_frames_lose_negatives_and_reach_one():
    frames = rgb_frames(7)
    raw, found = taylor_frames(frames, rescale=False), taylor_frames(frames)
    assert raw.min() < 0 <= found.min()
    torch.testing.assert_close(found.amax(dim=(-2, -1)), torch.ones(2, 2, 3).double())
    assert torch.equal(found > 0, raw > 0)


def test_a_still_clip_has_black_taylor_frames_and_no_difference():
    frames = rgb_frames(1).expand(-1, 6, -1, -1, -1)
    assert not taylor_frames(frames).any()
    assert not represent(frames, "frame difference").any()


def test_the_frame_difference_is_repeated_in_three_channels():
    frames = rgb_frames(4)
    found = represent(frames, "frame difference")
    for channel in range(3):
        assert torch.equal(found[:, :, channel], frame_difference(frames))


@pytest.mark.parametrize("name", REPRESENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_every_representation_has_three_channels_the_stated_length_and_the_clips_dtype(name, dtype):
    found = represent(rgb_frames(8, torch.float32).to(dtype), name)
    assert found.shape == (2, 8 - REPRESENTATIONS[name].num_extra_frames, 3, 3, 4)
    assert found.dtype == dtype
    assert found.isfinite().all()
    assert found.min() >= -1
    assert found.max() <= 1


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_one_frame_comes_out_of_the_fewest_frames_and_fewer_are_refused(name):
    needed = REPRESENTATIONS[name].num_extra_frames + 1
    assert represent(rgb_frames(needed), name).shape[1] == 1
    if needed > 1:
        with pytest.raises(InputError, match=f"{needed - 1} frames; .* at least {needed}"):
            represent(rgb_frames(needed - 1), name)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: represent(rgb_frames(8), "flow"), "'flow' is not known; .* 'Taylor', 'TC'"),
        (lambda: represent(rgb_frames(8)[0], "TC"), "rank 4"),
        (lambda: taylor_frames(rgb_frames(8), num_terms=0), "num_terms is 0"),
        (lambda: taylor_frames(rgb_frames(8), block_length=5), "block_length is 5; 3 terms .* 6"),
        (lambda: taylor_frames(rgb_frames(5)), "5 frames; Taylor frames of 3 terms .* 6"),
        (lambda: grey_short_term(rgb_frames(8), step=0), "step is 0"),
        (lambda: grey_short_term(rgb_frames(2)), "2 frames; GrayST needs at least 3"),
    ],
)
def test_what_cannot_be_represented_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
