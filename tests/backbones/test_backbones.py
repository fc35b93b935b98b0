"""What holds for every backbone, on tiny ones."""

import copy

import pytest
import torch

from kinema.backbones import slowfast_r50, x3d_s
from kinema.errors import InputError
from kinema.motion_prompt import MotionPrompt, with_motion_prompt
from tests.backbones.tiny import TINY, clip_for, tiny

every_backbone = pytest.mark.parametrize("name", TINY)


@every_backbone
@pytest.mark.parametrize("size", [32, 33, 90])
def test_logits_have_one_row_a_clip(name, size):
    model = tiny(name).eval()
    logits = model(clip_for(model, batch=3, size=size))
    assert logits.shape == (3, 5)
    assert logits.isfinite().all()


@every_backbone
def test_a_fresh_model_has_a_gradient_in_its_first_layer(name):
    torch.manual_seed(0)
    model = TINY[name]()
    model(clip_for(model)).square().sum().backward()
    first = next(model.parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 0
    assert all(parameter.grad is not None for parameter in model.parameters())


@every_backbone
def test_random_weights_give_every_parameter_a_gradient(name):
    model = tiny(name)
    model(clip_for(model)).square().sum().backward()
    still = [key for key, value in model.named_parameters() if not value.grad.abs().max() > 0]
    assert still == []


@every_backbone
def test_residual_branches_start_at_zero(name):
    model = TINY[name]()
    final = [value for key, value in model.named_parameters() if key.endswith("norm_c.weight")]
    assert len(final) >= 5
    assert all((value == 0).all() for value in final)


@every_backbone
def test_eval_is_deterministic_and_training_drops_out(name):
    model = tiny(name)
    clip = clip_for(model)
    model.eval()
    assert torch.equal(model(clip), model(clip))
    model.train()
    state = copy.deepcopy(model.state_dict())
    torch.manual_seed(1)
    first = model(clip)
    second = model(clip)
    assert not torch.equal(first, second)
    model.load_state_dict(state)
    torch.manual_seed(1)
    assert torch.equal(model(clip), first)


@every_backbone
def test_a_state_dict_goes_round(name):
    model, other = tiny(name).eval(), tiny(name, seed=1).eval()
    clip = clip_for(model)
    assert not torch.allclose(model(clip), other(clip))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model(clip), other(clip))


@every_backbone
def test_clips_of_a_batch_do_not_see_each_other_in_eval(name):
    model = tiny(name).double().eval()
    clip = clip_for(model, batch=3).double()
    apart = torch.cat([model(one[None]) for one in clip])
    torch.testing.assert_close(model(clip), apart, rtol=1e-10, atol=1e-12)


@every_backbone
def test_the_input_is_left_as_it_is(name):
    model = tiny(name)
    clip = clip_for(model)
    before = clip.clone()
    model(clip)
    assert torch.equal(clip, before)


@every_backbone
def test_torch_export_gives_the_same_program_for_any_batch(name):
    model = tiny(name).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        model, (clip_for(model),), dynamic_shapes=({0: batch},), strict=False
    ).module()
    clip = clip_for(model, batch=3, seed=1)
    torch.testing.assert_close(program(clip), model(clip))


@every_backbone
def test_half_precision_comes_near(name):
    model = tiny(name).eval()
    clip = clip_for(model)
    expected = model(clip)
    found = model.bfloat16()(clip.bfloat16()).float()
    assert (found - expected).abs().max() < 0.05 * expected.abs().max() + 0.05


@every_backbone
def test_a_motion_prompt_goes_before_it(name):
    model = tiny(name)
    prompted = with_motion_prompt(
        model, prompt=MotionPrompt(layout=model.layout), num_frames=model.num_frames
    )
    torch.manual_seed(0)
    output = prompted(torch.randn(2, 3, model.num_frames + 1, 32, 32))
    prompted.loss(output, torch.tensor([0, 4])).backward()
    assert output.logits.shape == (2, 5)
    assert all(value.grad.abs().max() > 0 for value in prompted.prompt.parameters())


@every_backbone
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda clip: clip[0], "rank 4"),
        (lambda clip: clip[:, :, 1:], "frames; expected"),
        (lambda clip: clip.transpose(1, 2), "channels on axis 1"),
        (lambda clip: clip.byte(), "torch.uint8"),
        (lambda clip: clip[:0], "empty"),
        (lambda clip: clip[..., :0], "empty"),
        (lambda clip: clip.numpy(), "ndarray"),
    ],
)
def test_a_wrong_clip_is_refused_before_the_network_runs(name, change, message):
    model = tiny(name)
    model.blocks[0].forward = None
    clip = change(clip_for(model))
    with pytest.raises(InputError, match=message) as refusal:
        model(clip)
    assert "\n" not in str(refusal.value)


@every_backbone
@pytest.mark.parametrize(
    "sizes",
    [
        {"num_classes": 0},
        {"width": 0},
        {"depths": (1, 1, 1)},
        {"depths": (1, 0, 1, 1)},
        {"num_frames": 0},
        {"size": 0},
    ],
)
def test_unusable_sizes_are_refused_by_name(name, sizes):
    with pytest.raises(InputError, match=next(iter(sizes))):
        TINY[name](**sizes)


def test_the_zoos_sizes_take_another_number_of_classes_and_frames():
    with torch.device("meta"):
        assert slowfast_r50(num_classes=67).blocks[6].proj.weight.shape == (67, 2304)
        assert slowfast_r50(num_frames=16).num_frames == 16
        assert x3d_s(num_classes=7).blocks[5].proj.weight.shape == (7, 2048)
