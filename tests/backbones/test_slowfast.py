import pytest
import torch

from kinema.backbones import SlowFast, slow_frames, slowfast_r50
from kinema.errors import InputError
from tests.backbones.tiny import clip_for, tiny


def test_slowfast_r50_has_the_zoos_names_and_shapes():
    with torch.device("meta"):
        model = slowfast_r50()
    assert sum(value.numel() for value in model.parameters()) == 34_566_488
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert len(shapes) == 662
    expected = {
        "blocks.0.multipathway_blocks.0.conv.weight": (64, 3, 1, 7, 7),
        "blocks.0.multipathway_blocks.1.conv.weight": (8, 3, 5, 7, 7),
        "blocks.0.multipathway_fusion.conv_fast_to_slow.weight": (16, 8, 7, 1, 1),
        "blocks.1.multipathway_blocks.0.res_blocks.0.branch1_conv.weight": (256, 80, 1, 1, 1),
        "blocks.1.multipathway_blocks.0.res_blocks.0.branch1_norm.running_var": (256,),
        "blocks.3.multipathway_blocks.0.res_blocks.5.branch2.conv_a.weight": (256, 1024, 3, 1, 1),
        "blocks.3.multipathway_fusion.norm.num_batches_tracked": (),
        "blocks.4.multipathway_blocks.1.res_blocks.2.branch2.conv_b.weight": (64, 64, 1, 3, 3),
        "blocks.6.proj.weight": (400, 2304),
        "blocks.6.proj.bias": (400,),
    }
    assert expected.items() <= shapes.items()


@pytest.mark.parametrize("num_frames", [4, 8, 16, 32, 64])
def test_slow_frames_are_those_of_the_zoos_training(num_frames):
    clip = torch.arange(num_frames).float().reshape(1, 1, -1, 1, 1)
    expected = torch.linspace(0, num_frames - 1, num_frames // 4).long().float()
    assert torch.equal(slow_frames(clip).flatten(), expected)


def test_slow_frames_of_32_are_the_documented_ones():
    clip = torch.arange(32).float().reshape(1, 1, -1, 1, 1)
    assert slow_frames(clip).flatten().tolist() == [0, 4, 8, 13, 17, 22, 26, 31]


def test_too_few_frames_for_a_slow_one_are_refused():
    with pytest.raises(InputError, match="the clip has 3 frames; expected 4 or more"):
        slow_frames(torch.zeros(1, 3, 3, 8, 8))


def test_fast_frames_alone_and_the_pair_give_the_same():
    model = tiny("slowfast").eval()
    fast = clip_for(model)
    pair = [slow_frames(fast), fast]
    assert torch.equal(model(fast), model(pair))
    assert torch.equal(model(fast), model(tuple(pair)))


def test_the_pair_is_left_as_it_is():
    model = tiny("slowfast")
    fast = clip_for(model)
    slow = slow_frames(fast)
    pair = [slow, fast]
    before = [slow.clone(), fast.clone()]
    model(pair)
    assert pair[0] is slow
    assert pair[1] is fast
    assert torch.equal(slow, before[0])
    assert torch.equal(fast, before[1])


def test_both_pathways_are_seen():
    model = tiny("slowfast").eval()
    fast = clip_for(model)
    slow = slow_frames(fast)
    expected = model([slow, fast])
    assert not torch.allclose(model([slow + 1, fast]), expected)
    assert not torch.allclose(model([slow, fast + 1]), expected)


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (lambda slow, fast: [slow], "list of 1"),
        (lambda slow, fast: [slow, fast, fast], "list of 3"),
        (lambda slow, fast: None, "NoneType"),
        (lambda slow, fast: [slow, None], "fast clip is a NoneType"),
        (lambda slow, fast: [fast, slow], "fast clip has 2 frames"),
        (lambda slow, fast: [slow, fast[:, :, :4]], "fast clip has 4 frames"),
        (lambda slow, fast: [fast, fast], "slow clip has 8 frames"),
        (lambda slow, fast: [slow[:1], fast], "same batch"),
        (lambda slow, fast: [slow[..., :16], fast], "same batch, height and width"),
    ],
)
def test_a_wrong_pair_is_refused(pair, message):
    model = tiny("slowfast")
    fast = clip_for(model)
    with pytest.raises(InputError, match=message):
        model(pair(slow_frames(fast), fast))


def test_ratios_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match="num_frames is 33; expected a multiple of frame_ratio, 4"):
        SlowFast(num_frames=33)
    with pytest.raises(InputError, match="width is 12; expected a multiple of width_ratio, 8"):
        SlowFast(width=12)


def test_other_ratios_build_and_run():
    model = tiny("slowfast", width=8, width_ratio=4, frame_ratio=8, num_frames=16).eval()
    assert model(clip_for(model)).shape == (2, 5)
