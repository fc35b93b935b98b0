import pytest
import torch

from kinema.backbones import x3d_m, x3d_s, x3d_xs
from kinema.backbones.residual import to_multiple_of_eight
from tests.backbones.tiny import clip_for, tiny


@pytest.mark.parametrize(("make", "num_frames"), [(x3d_xs, 4), (x3d_s, 13), (x3d_m, 16)])
def test_x3d_has_the_zoos_names_and_shapes(make, num_frames):
    with torch.device("meta"):
        model = make()
    assert model.num_frames == num_frames
    assert sum(value.numel() for value in model.parameters()) == 3_794_274
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert len(shapes) == 563
    expected = {
        "blocks.0.conv.conv_t.weight": (24, 3, 1, 3, 3),
        "blocks.0.conv.conv_xy.weight": (24, 1, 5, 1, 1),
        "blocks.1.res_blocks.0.branch1_conv.weight": (24, 24, 1, 1, 1),
        "blocks.1.res_blocks.0.branch2.norm_b.1.block.0.weight": (8, 54, 1, 1, 1),
        "blocks.2.res_blocks.0.branch1_norm.weight": (48,),
        "blocks.3.res_blocks.10.branch2.conv_b.weight": (216, 1, 3, 3, 3),
        "blocks.4.res_blocks.6.branch2.norm_b.1.block.2.bias": (432,),
        "blocks.5.pool.pre_conv.weight": (432, 192, 1, 1, 1),
        "blocks.5.pool.post_conv.weight": (2048, 432, 1, 1, 1),
        "blocks.5.proj.weight": (400, 2048),
    }
    assert expected.items() <= shapes.items()
    assert "blocks.1.res_blocks.0.branch1_norm.weight" not in shapes
    assert "blocks.1.res_blocks.1.branch2.norm_b.1.block.0.weight" not in shapes


def test_logits_come_out_in_both_modes():
    model = tiny("x3d", dropout=0.0)
    clip = clip_for(model)
    for mode in (True, False):
        logits = model.train(mode)(clip)
        assert not torch.allclose(logits.sum(1), torch.ones(2))


def test_probabilities_come_out_in_eval_where_asked_for():
    model = tiny("x3d", probabilities=True, dropout=0.0)
    plain = tiny("x3d", dropout=0.0)
    plain.load_state_dict(model.state_dict())
    clip = clip_for(model)
    assert torch.equal(model(clip), plain(clip))
    expected = plain.eval()(clip).softmax(1)
    torch.testing.assert_close(model.eval()(clip), expected)


@pytest.mark.parametrize(
    ("width", "rounded"), [(54 / 16, 8), (108 / 16, 8), (216 / 16, 16), (27, 32), (11, 16)]
)
def test_squeezed_widths_are_multiples_of_eight_that_keep_nine_tenths(width, rounded):
    assert to_multiple_of_eight(width) == rounded
