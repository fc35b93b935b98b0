"""Motion prompts before the backbones of the table."""

import dataclasses
import logging

import pytest
import torch
from einops import rearrange
from torch import nn

from kinema.backbones import BackboneFacts, facts_of
from kinema.errors import InputError
from kinema.motion_prompt import (
    AsinhE,
    FrameDifference,
    Gamma,
    MaxExp,
    MotionPrompt,
    PlainFrames,
    SigmE,
    with_motion_prompt,
)
from tests.backbones.tiny import TINY, TRANSFORMERS, tiny, tiny_transformer

every_backbone = pytest.mark.parametrize("name", [*TINY, *TRANSFORMERS])


def tiny_of(name):
    return tiny(name).eval() if name in TINY else tiny_transformer(name)


def clip_of(facts, num_frames, *, seed=0, size=None):
    size = 16 if size is None else size
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randn(2, num_frames, 3, size, size, generator=generator)
    return rearrange(clip, f"B T C H W -> {' '.join(facts.layout)}")


@every_backbone
def test_what_is_known_of_a_backbone_makes_its_prompt(name):
    backbone = tiny_of(name)
    facts = facts_of(backbone)
    model = with_motion_prompt(backbone)
    prompt = model.prompt
    assert (prompt.layout, prompt.mean, prompt.std) == (facts.layout, facts.mean, facts.std)
    assert model.num_frames == facts.num_frames
    assert model.backbone is backbone
    clip = clip_of(facts, facts.num_frames + 1)
    output = model(clip)
    prompted = MotionPrompt(**facts.clip_format)(clip)
    expected = backbone(prompted.video)
    assert torch.equal(output.logits, getattr(expected, "logits", expected))
    assert torch.equal(output.variation, prompted.variation)


@every_backbone
@pytest.mark.parametrize("extra", [-1, 0, 2])
def test_any_count_but_one_more_than_the_backbone_takes_is_refused(name, extra):
    backbone = tiny_of(name)
    facts = facts_of(backbone)
    model = with_motion_prompt(backbone)
    backbone.forward = None
    with pytest.raises(
        InputError, match=f"takes {facts.num_frames} .* needs {facts.num_frames + 1}"
    ):
        model(clip_of(facts, facts.num_frames + extra))


@pytest.mark.parametrize("name", [*TINY, "videomae", "vivit", "vjepa2"])
def test_a_backbone_that_was_built_for_other_frames_is_not_asked_to_take_them(name):
    with pytest.raises(InputError, match=r"num_frames is 12; this .* is built for "):
        with_motion_prompt(tiny_of(name), num_frames=12)


def test_a_timesformer_asked_for_other_frames_is_set_to_them_and_says_so(caplog):
    backbone = tiny_transformer("timesformer")
    before = backbone.timesformer.embeddings.time_embeddings.detach().clone()
    with caplog.at_level(logging.WARNING, logger="kinema"):
        model = with_motion_prompt(backbone, num_frames=8)
    assert "took 4 frames and now takes 8" in caplog.text
    assert backbone.config.num_frames == model.num_frames == model.facts.num_frames == 8
    assert torch.equal(
        backbone.timesformer.embeddings.time_embeddings, before.repeat_interleave(2, dim=1)
    )
    clip = clip_of(model.facts, 9)
    expected = backbone(MotionPrompt()(clip).video).logits
    assert torch.equal(model(clip).logits, expected)
    with pytest.raises(InputError, match=r"takes 8 .* needs 9"):
        model(clip_of(model.facts, 5))


def test_a_count_that_changes_behind_the_prompts_back_is_noticed():
    model = with_motion_prompt(tiny_transformer("timesformer"))
    model.backbone.config.num_frames = 2
    with pytest.raises(InputError, match="now takes 2 frames and took 4 when the motion prompt"):
        model(clip_of(model.facts, 5))


def slow_packing(clip, m, n, *, pathways, std=0.225):
    """Slow and fast frames of one normalised clip `(3, T+1, H, W)`, frame by frame in float64."""
    prompts, plain = [], []
    slope = 5 / (0.45 * abs(torch.tanh(m)) + 0.1)
    shift = 0.6 * torch.tanh(n)
    for t in range(clip.shape[1] - 1):
        before, after = clip[:, t] * std, clip[:, t + 1] * std
        change = sum(
            weight * (after[i] - before[i]) for i, weight in enumerate((0.299, 0.587, 0.114))
        )
        prompts.append(clip[:, t + 1] / (1 + torch.exp(-slope * (change - shift))))
        plain.append(clip[:, t + 1])
    num_fast = len(prompts)
    num_slow = num_fast // 4
    chosen = torch.linspace(0, num_fast - 1, num_slow, dtype=torch.float64).long().tolist()
    slow = prompts if pathways in ("slow", "both") else plain
    fast = prompts if pathways in ("fast", "both") else plain
    return torch.stack([slow[i] for i in chosen], 1), torch.stack(fast, 1)


@pytest.mark.parametrize("pathways", ["both", "slow", "fast"])
def test_the_pathways_see_what_a_slow_packing_gives(pathways):
    backbone = tiny("slowfast", num_frames=16).double().eval()
    seen = []
    backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model = with_motion_prompt(backbone, pathways=pathways)
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(2, 3, 17, 16, 16, generator=generator, dtype=torch.float64)
    output = model(clip)
    ((slow, fast),) = seen
    scalars = model.prompt.normalisation
    pairs = [
        slow_packing(one, scalars.m.double(), scalars.n.double(), pathways=pathways) for one in clip
    ]
    expected_slow, expected_fast = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    assert slow.shape == (2, 3, 4, 16, 16)
    torch.testing.assert_close(slow, expected_slow, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(fast, expected_fast, rtol=1e-10, atol=1e-12)
    expected = backbone([expected_slow, expected_fast])
    torch.testing.assert_close(output.logits, expected, rtol=1e-10, atol=1e-12)
    assert output.attention.shape == (2, 16, 16, 16)


def test_the_three_choices_of_pathways_differ_and_both_is_the_default():
    backbone = tiny("slowfast").eval()
    clip = clip_of(facts_of(backbone), 9)
    logits = {
        pathways: with_motion_prompt(backbone, pathways=pathways)(clip).logits
        for pathways in ("both", "slow", "fast")
    }
    assert torch.equal(with_motion_prompt(backbone)(clip).logits, logits["both"])
    prompts = MotionPrompt(layout="BCTHW")(clip).video
    assert torch.equal(backbone(prompts), logits["both"])
    assert not torch.allclose(logits["slow"], logits["fast"])
    assert not torch.allclose(logits["slow"], logits["both"])


@pytest.mark.parametrize("pathways", ["slow", "fast"])
def test_one_pathway_with_prompts_still_teaches_them(pathways):
    model = with_motion_prompt(tiny("slowfast").eval(), pathways=pathways).double()
    model(clip_of(model.facts, 9).double()).logits.square().sum().backward()
    assert all(value.grad.abs() > 0 for value in model.prompt.parameters())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"pathways": "slow"}, "pathways is 'slow'; a X3D has one pathway only"),
        ({"pathways": "none"}, "pathways is 'none'; expected one of both, slow, fast"),
        ({"prompt": MotionPrompt()}, "layout is BTCHW; the X3D takes BCTHW: make it with"),
        ({"prompt": FrameDifference()}, "layout is BTCHW; the X3D takes BCTHW: make it with"),
    ],
)
def test_what_does_not_suit_the_backbone_is_refused(settings, says):
    with pytest.raises(InputError, match=says):
        with_motion_prompt(tiny("x3d"), **settings)


def test_two_pathways_need_the_layout_that_they_are_packed_in():
    facts = BackboneFacts(num_frames=8, size=32, layout="BTCHW", frame_ratio=4)
    with pytest.raises(InputError, match="layout is 'BTCHW'; a backbone of two pathways"):
        with_motion_prompt(nn.Identity(), facts=facts)


def test_another_normalisation_than_the_backbones_is_said(caplog):
    backbone = tiny_transformer("vivit")
    with caplog.at_level(logging.WARNING, logger="kinema"):
        with_motion_prompt(backbone, prompt=MotionPrompt(**facts_of(backbone).clip_format))
        assert caplog.records == []
        with_motion_prompt(backbone, prompt=MotionPrompt())
    assert [record.args[0] for record in caplog.records] == ["mean", "std"]
    caplog.clear()
    facts = dataclasses.replace(facts_of(backbone), mean=(0.45,) * 3, std=(0.225,) * 3)
    with_motion_prompt(backbone, prompt=MotionPrompt(), facts=facts)
    assert caplog.records == []


class Pair(nn.Module):
    """Somebody's own two-pathway network: notes what it was shown."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 5)

    def forward(self, clips):
        assert isinstance(clips, list)
        self.shapes = [tuple(clip.shape) for clip in clips]
        return self.fc(torch.cat([clip.mean((2, 3, 4)) for clip in clips], 1))


def test_a_module_of_ones_own_is_described_by_facts():
    facts = BackboneFacts(num_frames=8, size=16, frame_ratio=2, head="fc", std=(0.5, 0.5, 0.5))
    model = with_motion_prompt(Pair(), facts=facts, pathways="slow")
    assert (model.prompt.std, model.prompt.layout) == ((0.5, 0.5, 0.5), "BCTHW")
    assert model(clip_of(facts, 9, size=16)).logits.shape == (2, 5)
    assert model.backbone.shapes == [(2, 3, 4, 16, 16), (2, 3, 8, 16, 16)]
    with pytest.raises(InputError, match=r"takes 8 .* needs 9"):
        model(clip_of(facts, 8, size=16))


@every_backbone
@pytest.mark.parametrize("front_end", [FrameDifference, PlainFrames])
def test_other_front_ends_stand_in_the_prompts_place(name, front_end):
    backbone = tiny_of(name)
    facts = facts_of(backbone)
    model = with_motion_prompt(backbone, prompt=front_end(**facts.clip_format))
    clip = clip_of(facts, facts.num_frames + 1)
    time = facts.layout.index("T")
    later = clip.narrow(time, 1, facts.num_frames)
    shown = later
    if front_end is FrameDifference:
        shown = later - clip.narrow(time, 0, facts.num_frames)
    output, expected = model(clip), backbone(shown)
    assert torch.equal(output.logits, getattr(expected, "logits", expected))
    labels = torch.tensor([0, 3])
    expected_loss = nn.functional.cross_entropy(output.logits, labels)
    assert torch.equal(model.loss(output, labels), expected_loss)
    with pytest.raises(InputError, match="needs"):
        model(later)


@pytest.mark.parametrize("normalisation", [Gamma(), MaxExp(), SigmE(), AsinhE()], ids=repr)
def test_each_power_normalisation_goes_before_a_backbone(normalisation):
    backbone = tiny("x3d").eval()
    facts = facts_of(backbone)
    prompt = MotionPrompt(**facts.clip_format, normalisation=normalisation)
    clip = clip_of(facts, facts.num_frames + 1)
    output = with_motion_prompt(backbone, prompt=prompt)(clip)
    grey = torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1, 1)
    frames = (clip * 0.225 + 0.45).double()
    difference = (frames * grey).sum(1).diff(dim=1)
    expected = normalisation(difference).unsqueeze(1) * clip[:, :, 1:]
    torch.testing.assert_close(output.logits, backbone(expected.float()), rtol=1e-4, atol=1e-4)
