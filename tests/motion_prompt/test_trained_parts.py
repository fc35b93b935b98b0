import copy

import pytest
import torch
from torch import nn

from kinema.backbones import BackboneFacts
from kinema.errors import InputError
from kinema.motion_prompt import (
    FrameDifference,
    Gamma,
    MotionPrompt,
    PlainFrames,
    parameter_groups,
    trainable,
    with_motion_prompt,
)
from kinema.motion_prompt.layer import MotionPromptOutput
from tests.backbones.tiny import tiny, tiny_transformer
from tests.motion_prompt.test_attach import TinyBackbone

PROMPT = {"prompt.normalisation.m", "prompt.normalisation.n"}
HEADS = {"slowfast": "blocks.6.proj", "x3d": "blocks.5.proj", "timesformer": "classifier"}


def model_of(name):
    # In float64, in which convolutions of one channel run backwards far faster on a CPU.
    backbone = tiny_transformer(name) if name == "timesformer" else tiny(name)
    return with_motion_prompt(backbone).double()


def clip_for(model):
    generator = torch.Generator().manual_seed(0)
    if model.prompt.layout == "BTCHW":
        return torch.randn(2, 5, 3, 16, 16, generator=generator).double()
    return torch.randn(2, 3, model.num_frames + 1, 16, 16, generator=generator).double()


def chosen(model, name, parts):
    body = {key for key, _ in model.named_parameters()} - PROMPT
    head = {f"backbone.{HEADS[name]}.weight", f"backbone.{HEADS[name]}.bias"}
    return {
        "all": body | PROMPT,
        "prompt": PROMPT,
        "backbone": body,
        "head": head,
        "prompt+head": PROMPT | head,
        "head+prompt": PROMPT | head,
        "prompt+backbone": body | PROMPT,
    }[parts]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *((name, parts) for name in HEADS for parts in ("all", "prompt", "head")),
        *(
            ("timesformer", parts)
            for parts in ("backbone", "prompt+head", "head+prompt", "prompt+backbone")
        ),
    ],
)
def test_one_step_moves_what_was_named_and_nothing_else(name, parts):
    model = model_of(name)
    expected = chosen(model, name, parts)
    assert set(trainable(model, parts)) == expected
    model.train()
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.SGD(parameter_groups(model, lr=10.0, weight_decay=0.1))
    model.loss(model(clip_for(model)), torch.tensor([0, 4])).backward()
    optimiser.step()
    moved = {key for key, value in model.named_parameters() if not value.equal(before[key])}
    assert moved == expected


@pytest.mark.parametrize("name", ["slowfast", "x3d"])
@pytest.mark.parametrize("parts", ["prompt", "head", "prompt+head"])
def test_running_statistics_of_a_frozen_backbone_do_not_move(name, parts):
    model = model_of(name)
    trainable(model, parts)
    model.train()
    before = copy.deepcopy(dict(model.named_buffers()))
    assert len(before) > 10
    model(clip_for(model))
    assert all(torch.equal(value, before[key]) for key, value in model.named_buffers())
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert all(module.training for module in dropouts)


@pytest.mark.parametrize("parts", ["all", "backbone"])
def test_running_statistics_of_a_backbone_that_learns_do_move(parts):
    model = model_of("x3d").train()
    trainable(model, "prompt")
    trainable(model, parts)
    before = copy.deepcopy(dict(model.named_buffers()))
    model(clip_for(model))
    assert not any(torch.equal(value, before[key]) for key, value in model.named_buffers())


def test_freezing_takes_effect_at_once_and_eval_stays_eval():
    model = model_of("x3d").train()
    trainable(model, "prompt")
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    assert not any(module.training for module in norms)
    model.eval()
    trainable(model, "all")
    assert not any(module.training for module in model.modules())
    model.train()
    assert all(module.training for module in norms)


def test_a_norm_without_parameters_goes_with_its_backbone():
    backbone = nn.Sequential(
        nn.Conv3d(3, 5, 1), nn.BatchNorm3d(5, affine=False), nn.AdaptiveAvgPool3d(1), nn.Flatten()
    )
    model = with_motion_prompt(backbone, prompt=MotionPrompt(layout="BCTHW"))
    trainable(model, "prompt")
    assert not model.train().backbone[1].training
    trainable(model, "all")
    assert model.backbone[1].training


def test_the_variants_of_the_paper_can_be_run_in_turn():
    baseline = with_motion_prompt(tiny("x3d"), prompt=PlainFrames(layout="BCTHW"))
    assert set(trainable(baseline, "all")) == set(trainable(baseline, "backbone"))
    tuned = with_motion_prompt(baseline.backbone)
    assert set(trainable(tuned, "prompt")) == PROMPT
    assert tuned.backbone is baseline.backbone
    assert not any(value.requires_grad for value in tuned.backbone.parameters())


def test_the_head_of_ones_own_module_is_named_by_facts():
    facts = BackboneFacts(num_frames=4, size=8, head="head")
    model = with_motion_prompt(TinyBackbone(), facts=facts)
    assert trainable(model, "head") == ["backbone.head.weight", "backbone.head.bias"]
    facts = BackboneFacts(num_frames=4, size=8, head="fc")
    with pytest.raises(InputError, match="head is 'fc'; the backbone has no module of that name"):
        trainable(with_motion_prompt(TinyBackbone(), facts=facts), "head")
    with pytest.raises(InputError, match=r"head of a TinyBackbone is, is not known; .*facts=Back"):
        trainable(with_motion_prompt(TinyBackbone()), "head")


@pytest.mark.parametrize("parts", ["", "prompts", "prompt+", "all+head", "prompt,head"])
def test_an_unknown_part_is_refused_and_nothing_changes(parts):
    model = model_of("x3d")
    with pytest.raises(InputError, match=r"parts is .*; expected 'all', or some of prompt, backb"):
        trainable(model, parts)
    assert all(value.requires_grad for value in model.parameters())


@pytest.mark.parametrize("prompt", [MotionPrompt(normalisation=Gamma()), FrameDifference()])
def test_a_front_end_with_nothing_to_learn_cannot_be_trained_alone(prompt):
    model = with_motion_prompt(tiny_transformer("timesformer"), prompt=prompt)
    with pytest.raises(InputError, match=r"parts is 'prompt'; the .* here has nothing to learn"):
        trainable(model, "prompt")


class Scaled(nn.Module):
    """A front end of somebody's own."""

    layout, mean, std, penalty = "BCTHW", (0.45,) * 3, (0.225,) * 3, 0.0

    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, clip):
        video = clip[:, :, 1:] * self.share
        return MotionPromptOutput(video, torch.ones_like(video[:, 0]), video.new_zeros(()))


def test_what_a_front_end_of_ones_own_learns_is_grouped_and_trained_as_the_prompt():
    model = with_motion_prompt(tiny("x3d"), prompt=Scaled())
    assert trainable(model, "prompt") == ["prompt.share"]
    backbone, prompt = parameter_groups(model, lr=0.1, weight_decay=0.1)
    assert prompt["name"] == "motion_prompt"
    assert [value is model.prompt.share for value in prompt["params"]] == [True]
    assert len(backbone["params"]) == len(list(model.backbone.parameters()))
