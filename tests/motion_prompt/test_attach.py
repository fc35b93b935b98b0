import copy
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import TimesformerConfig, TimesformerForVideoClassification

from kinema.errors import InputError
from kinema.motion_prompt import MotionPrompt, with_motion_prompt


class TinyBackbone(nn.Module):
    """A convolution over (B, C, T, H, W) that notes how many frames it was shown."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv3d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm3d(4)
        self.head = nn.Linear(4, 5)
        self.frames_seen = []

    def forward(self, video):
        self.frames_seen.append(video.shape[2])
        features = self.norm(self.convolution(video)).relu().mean(dim=(2, 3, 4))
        return self.head(features)


def tiny_timesformer():
    config = TimesformerConfig(
        image_size=16,
        patch_size=8,
        num_frames=4,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=5,
    )
    return TimesformerForVideoClassification(config).eval()


def clip_of(num_frames, layout="BCTHW", size=8):
    sizes = {"B": 2, "C": 3, "T": num_frames, "H": size, "W": size}
    generator = torch.Generator().manual_seed(0)
    return torch.randn([sizes[axis] for axis in layout], generator=generator)


def channels_first():
    return MotionPrompt(layout="BCTHW", penalty=0.5)


def test_the_backbone_sees_the_prompts_and_its_logits_come_out():
    backbone, prompt = TinyBackbone().eval(), channels_first()
    model = with_motion_prompt(backbone, prompt=prompt, num_frames=4)
    clip = clip_of(5)
    output, prompted = model(clip), prompt(clip)
    assert backbone.frames_seen == [4]
    assert torch.equal(output.logits, backbone(prompted.video))
    assert torch.equal(output.attention, prompted.attention)
    assert torch.equal(output.variation, prompted.variation)


def test_a_transformers_classifier_is_called_as_it_is():
    backbone = tiny_timesformer()
    model = with_motion_prompt(backbone, num_frames=4)
    clip = clip_of(5, "BTCHW", 16)
    output = model(clip)
    assert output.logits.shape == (2, 5)
    expected = backbone(pixel_values=MotionPrompt()(clip).video).logits
    assert torch.equal(output.logits, expected)


def test_the_loss_is_cross_entropy_plus_penalty_times_variation():
    model = with_motion_prompt(TinyBackbone(), prompt=channels_first())
    labels = torch.tensor([1, 4])
    output = model(clip_of(5))
    expected = F.cross_entropy(output.logits, labels) + 0.5 * output.variation
    assert output.variation > 0
    assert torch.equal(model.loss(output, labels), expected)


def test_a_training_step_moves_the_prompt_and_the_backbone():
    model = with_motion_prompt(TinyBackbone(), prompt=channels_first())
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model.loss(model(clip_of(5)), torch.tensor([0, 2])).backward()
    optimiser.step()
    moved = {name for name, value in model.named_parameters() if not value.equal(before[name])}
    assert {"prompt.normalisation.m", "prompt.normalisation.n", "backbone.head.weight"} <= moved


def test_taking_the_backbone_out_gives_the_same_module_bit_for_bit():
    backbone = TinyBackbone().eval()
    state = copy.deepcopy(backbone.state_dict())
    attributes = set(vars(backbone))
    video = clip_of(4)
    expected = backbone(video)
    model = with_motion_prompt(backbone, prompt=channels_first())
    model(clip_of(5))
    assert model.backbone is backbone
    assert all(torch.equal(backbone.state_dict()[name], value) for name, value in state.items())
    assert set(vars(backbone)) == attributes
    assert not backbone._forward_hooks
    assert not backbone._forward_pre_hooks
    assert torch.equal(backbone(video), expected)


@pytest.mark.parametrize("num_frames", [4, 6, 2])
@pytest.mark.parametrize("check_finite", [True, False])
def test_a_wrong_number_of_frames_is_refused_before_the_backbone_sees_it(num_frames, check_finite):
    backbone = TinyBackbone()
    model = with_motion_prompt(
        backbone, prompt=channels_first(), num_frames=4, check_finite=check_finite
    )
    with pytest.raises(InputError, match=f"{num_frames} frames; .* takes 4 .* needs 5"):
        model(clip_of(num_frames))
    assert backbone.frames_seen == []


def test_without_num_frames_any_count_reaches_the_backbone():
    backbone = TinyBackbone()
    model = with_motion_prompt(backbone, prompt=channels_first())
    model(clip_of(3))
    model(clip_of(6))
    assert backbone.frames_seen == [2, 5]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_clip_that_is_not_finite_is_refused_unless_asked_otherwise(value):
    backbone = TinyBackbone()
    clip = clip_of(5)
    clip[1, 0, 2, 0, 0] = value
    with pytest.raises(InputError, match="NaN or infinite values, the first in frame 2 of clip 1"):
        with_motion_prompt(backbone, prompt=channels_first())(clip)
    assert backbone.frames_seen == []
    with_motion_prompt(backbone, prompt=channels_first(), check_finite=False)(clip)
    assert backbone.frames_seen == [4]


@pytest.mark.parametrize(
    ("clip", "says"),
    [
        (torch.zeros(2, 3, 1, 8, 8), "1 frame; a motion prompt needs at least 2"),
        (torch.zeros(3, 5, 8, 8), "rank 4"),
        (torch.zeros(2, 5, 3, 8, 8), "5 channels on axis 1"),
    ],
)
def test_a_clip_that_cannot_be_prompted_is_refused(clip, says):
    with pytest.raises(InputError, match=says):
        with_motion_prompt(TinyBackbone(), prompt=channels_first())(clip)


class NoLogits(nn.Module):
    def forward(self, video):
        return {"features": video}


def test_a_backbone_without_logits_is_refused():
    with pytest.raises(InputError, match=r"returned a dict; expected a tensor of logits"):
        with_motion_prompt(NoLogits())(clip_of(3, "BTCHW"))


def test_a_backbone_of_no_frames_is_refused():
    with pytest.raises(InputError, match="num_frames is 0"):
        with_motion_prompt(TinyBackbone(), num_frames=0)


def test_the_default_prompt_is_made_where_the_backbone_is():
    model = with_motion_prompt(TinyBackbone().to("meta"))
    assert model.prompt.normalisation.m.device.type == "meta"


def test_the_state_is_the_backbones_and_two_scalars_and_survives_safetensors(tmp_path):
    model = with_motion_prompt(TinyBackbone().eval(), prompt=channels_first())
    state = model.state_dict()
    backbone = {f"backbone.{name}" for name in model.backbone.state_dict()}
    assert set(state) - backbone == {"prompt.normalisation.m", "prompt.normalisation.n"}
    save_file(state, tmp_path / "model.safetensors")
    other = with_motion_prompt(TinyBackbone().eval(), prompt=channels_first())
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    for copied in (other, copy.deepcopy(model)):
        assert torch.equal(copied(clip_of(5)).logits, model(clip_of(5)).logits)
