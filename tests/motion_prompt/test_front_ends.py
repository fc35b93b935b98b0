import pytest
import torch
from einops import rearrange

from kinema.errors import InputError
from kinema.motion_prompt import FrameDifference, MotionPrompt, PlainFrames

FRONT_ENDS = (FrameDifference, PlainFrames)


def clip_of(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 4, 3, 5, 6, generator=generator, dtype=torch.float64).to(dtype)


def test_a_frame_difference_is_that_of_each_normalised_channel():
    frames = torch.rand(2, 4, 3, 5, 6, generator=torch.Generator().manual_seed(0)).double()
    std = torch.tensor([0.2, 0.25, 0.5]).double()
    clip = (frames - 0.4) / std.reshape(3, 1, 1)
    video = FrameDifference(mean=(0.4,) * 3, std=(0.2, 0.25, 0.5))(clip).video
    for t in range(3):
        for channel in range(3):
            change = frames[:, t + 1, channel] - frames[:, t, channel]
            torch.testing.assert_close(video[:, t, channel], change / std[channel])
    assert (video < 0).any()


def test_plain_frames_are_those_that_prompts_are_made_of():
    clip = clip_of()
    assert torch.equal(PlainFrames()(clip).video, clip[:, 1:])
    prompted = MotionPrompt()(clip)
    assert torch.equal(prompted.video, PlainFrames()(clip).video * prompted.attention.unsqueeze(2))


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_shapes_and_dtypes_are_those_of_a_motion_prompt(front_end, dtype):
    clip = clip_of(dtype)
    found, expected = front_end()(clip), MotionPrompt()(clip)
    for name in ("video", "attention", "variation"):
        assert getattr(found, name).shape == getattr(expected, name).shape
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert (found.attention == 1).all()
    assert found.variation == 0


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("layout", ["B C T H W", "T C H W", "C T H W", "B T H W C"])
def test_all_layouts_agree(front_end, layout):
    canonical = clip_of() if layout.startswith("B") else clip_of()[0]
    axes = "B T C H W" if layout.startswith("B") else "T C H W"
    clip = rearrange(canonical, f"{axes} -> {layout}")
    video = front_end(layout=layout.replace(" ", ""))(clip).video
    expected = front_end(layout=axes.replace(" ", ""))(canonical).video
    assert torch.equal(rearrange(video, f"{layout} -> {axes}"), expected)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_nothing_in_it_learns_and_printing_shows_its_settings(front_end):
    layer = front_end(layout="BCTHW")
    assert list(layer.parameters()) == []
    assert layer.state_dict() == {}
    assert layer.penalty == 0
    assert "layout='BCTHW'" in repr(layer)


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_what_cannot_be_is_refused(front_end):
    with pytest.raises(InputError, match="1 frame; a motion prompt needs at least 2"):
        front_end()(clip_of()[:, :1])
    with pytest.raises(InputError, match="std is"):
        front_end(std=(0.1, 0.1, 0.0))
    with pytest.raises(InputError, match="layout 'BXYZT' is not known"):
        front_end(layout="BXYZT")
