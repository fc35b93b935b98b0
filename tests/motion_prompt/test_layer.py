import copy
import math

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from kinema.errors import InputError
from kinema.motion_prompt import (
    AsinhE,
    AxMin,
    Gamma,
    LearnableSigmoid,
    MaxExp,
    MotionPrompt,
    SigmE,
    check_clip,
)

LAYOUTS = {
    "BTCHW": "B T C H W",
    "BCTHW": "B C T H W",
    "BTHWC": "B T H W C",
    "TCHW": "(B T) C H W",
    "CTHW": "C (B T) H W",
    "THWC": "(B T) H W C",
}


def normalised_clip(batch=2, time=4, height=3, width=5, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(batch, time, 3, height, width, generator=generator, dtype=torch.float64)
    return ((frames - 0.45) / 0.225).to(dtype)


def slow_prompt(clip, m, n, *, mean=(0.45,) * 3, std=(0.225,) * 3, weights=(0.299, 0.587, 0.114)):
    """The documented algorithm, a pixel at a time: un-normalise, grey, difference, sigmoid."""
    batch, time, _, height, width = clip.shape
    attention = torch.zeros(batch, time - 1, height, width, dtype=torch.float64)
    video = torch.zeros(batch, time - 1, 3, height, width, dtype=torch.float64)
    slope = 5 / (0.45 * abs(math.tanh(m)) + 0.1)
    shift = 0.6 * math.tanh(n)
    squares = 0.0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                grey = []
                for t in range(time):
                    pixel = [float(clip[b, t, c, y, x]) * std[c] + mean[c] for c in range(3)]
                    grey.append(sum(w * v for w, v in zip(weights, pixel, strict=True)))
                for t in range(time - 1):
                    difference = grey[t + 1] - grey[t]
                    attention[b, t, y, x] = 1 / (1 + math.exp(-slope * (difference - shift)))
                    for c in range(3):
                        later = float(clip[b, t + 1, c, y, x])
                        video[b, t, c, y, x] = float(attention[b, t, y, x]) * later
                for t in range(time - 2):
                    squares += float(attention[b, t + 1, y, x] - attention[b, t, y, x]) ** 2
    return video, attention, squares / max(batch * (time - 2) * height * width, 1)


def assert_output_is(output, expected, atol):
    for found, wanted in zip(output, expected, strict=True):
        wanted = torch.as_tensor(wanted, dtype=torch.float64)
        torch.testing.assert_close(found.detach().double(), wanted, rtol=0, atol=atol)


@pytest.mark.parametrize(("m", "n"), [(0.1, 0.0), (1.05, -2.67), (-0.3, 0.8)])
def test_the_layer_follows_the_documented_algorithm(m, n):
    clip = normalised_clip()
    layer = MotionPrompt(normalisation=LearnableSigmoid(m, n).double())
    m, n = layer.normalisation.m.item(), layer.normalisation.n.item()
    assert_output_is(layer(clip), slow_prompt(clip, m, n), atol=1e-13)


def test_the_default_starts_at_m_a_tenth_and_n_zero_with_penalty_one():
    layer = MotionPrompt()
    clip = normalised_clip(dtype=torch.float32)
    assert layer.penalty == 1
    assert_output_is(layer(clip), slow_prompt(clip, 0.1, 0.0), atol=2e-5)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    time=st.integers(2, 5),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    m=st.floats(-3, 3),
    n=st.floats(-3, 3),
)
def test_any_size_follows_the_documented_algorithm(seed, time, height, width, m, n):
    clip = normalised_clip(1, time, height, width, seed)
    layer = MotionPrompt(normalisation=LearnableSigmoid(m, n)).double()
    m, n = layer.normalisation.m.item(), layer.normalisation.n.item()
    output = layer(clip)
    assert_output_is(output, slow_prompt(clip, m, n), atol=1e-12)
    assert output.video.shape == (1, time - 1, 3, height, width)


def test_another_std_is_honoured_and_the_mean_cancels():
    std = (0.229, 0.224, 0.225)
    clip = normalised_clip()
    layer = MotionPrompt(mean=(0.485, 0.456, 0.406), std=std).double()
    other = MotionPrompt(mean=(0.0, 0.0, 0.0), std=std).double()
    m = layer.normalisation.m.item()
    expected = slow_prompt(clip, m, 0.0, mean=(0.485, 0.456, 0.406), std=std)
    assert_output_is(layer(clip), expected, atol=1e-13)
    assert torch.equal(layer(clip).video, other(clip).video)


@pytest.mark.parametrize("seed", [0, 3])
def test_reference_is_the_published_layer_with_its_quirks(seed):
    torch.manual_seed(seed)
    m = torch.nn.init.normal_(torch.zeros(1), mean=1e-5, std=1).item()
    n = torch.nn.init.normal_(torch.zeros(1), mean=1e-5, std=1).item()
    layer = MotionPrompt.reference(seed=seed)
    assert (layer.normalisation.m.item(), layer.normalisation.n.item()) == (m, n)
    clip = normalised_clip()
    expected = slow_prompt(clip, m, n, weights=(0.114, 0.587, 0.299))
    assert_output_is(layer.double()(clip), expected, atol=1e-13)
    assert (
        layer(clip).attention - MotionPrompt(normalisation=layer.normalisation)(clip).attention
    ).abs().max() > 1e-3


def test_reference_is_exact_to_float_precision_in_float32():
    clip = normalised_clip(dtype=torch.float32)
    layer = MotionPrompt.reference(seed=1)
    m, n = layer.normalisation.m.item(), layer.normalisation.n.item()
    expected = slow_prompt(clip, m, n, weights=(0.114, 0.587, 0.299))
    assert_output_is(layer(clip), expected, atol=1e-5)


def test_reference_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    MotionPrompt.reference(seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_of_m_n_and_the_clip_are_right():
    layer = MotionPrompt(layout="BCTHW").double()
    clip = normalised_clip(1, 3, 2, 2).transpose(1, 2).contiguous().requires_grad_()
    scalars = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]

    def prompt(clip, m, n):
        values = {"normalisation.m": m, "normalisation.n": n}
        return torch.func.functional_call(layer, values, clip)

    assert torch.autograd.gradcheck(prompt, (clip, *scalars))


def test_the_loss_reaches_both_scalars():
    layer = MotionPrompt()
    output = layer(normalised_clip(dtype=torch.float32))
    (output.video.square().mean() + layer.penalty * output.variation).backward()
    assert layer.normalisation.m.grad.abs() > 0
    assert layer.normalisation.n.grad.abs() > 0


def test_two_frames_vary_by_zero_and_everything_stays_finite():
    layer = MotionPrompt()
    clip = normalised_clip(time=2, dtype=torch.float32)
    output = layer(clip)
    assert output.variation == 0
    (output.video.mean() + output.variation).backward()
    assert output.video.isfinite().all()
    assert all(parameter.grad.isfinite() for parameter in layer.parameters())


def test_a_still_clip_is_weighed_by_the_attention_at_rest():
    clip = normalised_clip(time=1).expand(-1, 5, -1, -1, -1)
    output = MotionPrompt().double()(clip)
    torch.testing.assert_close(output.attention, torch.full((2, 4, 3, 5), 0.5).double())
    torch.testing.assert_close(output.video, clip[:, 1:] / 2)
    assert output.variation == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_agree_and_come_back_as_they_went_in(layout):
    canonical = normalised_clip(1, 5, 4, 3)
    axes = LAYOUTS[layout]
    clip = rearrange(canonical, f"B T C H W -> {axes}")
    expected = MotionPrompt().double()(canonical)
    for form in (clip, clip.contiguous()):
        output = MotionPrompt(layout=layout).double()(form)
        back = rearrange(output.video, f"{axes} -> B T C H W", B=1)
        torch.testing.assert_close(back, expected.video)
        torch.testing.assert_close(output.attention, expected.attention)
        torch.testing.assert_close(output.variation, expected.variation)
    assert output.video.is_contiguous()


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("module_too", [False, True])
def test_half_precision_is_computed_in_float32_and_comes_back_in_half(dtype, atol, module_too):
    clip = normalised_clip(height=7, width=9, dtype=dtype)
    layer = MotionPrompt(normalisation=LearnableSigmoid(0.5, -0.25))
    output = (layer.to(dtype) if module_too else layer)(clip)
    video, attention, variation = slow_prompt(
        clip, layer.normalisation.m.item(), layer.normalisation.n.item()
    )
    assert output.video.dtype == dtype
    assert output.attention.dtype == output.variation.dtype == torch.float32
    torch.testing.assert_close(output.attention.double(), attention, rtol=0, atol=2e-3)
    torch.testing.assert_close(output.video.double(), video, rtol=atol, atol=atol)
    assert output.variation.item() == pytest.approx(variation, rel=5e-3)


def test_the_prompt_is_rounded_once():
    clip = normalised_clip(dtype=torch.bfloat16)
    output = MotionPrompt()(clip)
    exact = output.attention.unsqueeze(2) * clip[:, 1:].float()
    assert torch.equal(output.video, exact.bfloat16())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_full_precision_keeps_its_dtype(dtype):
    output = MotionPrompt()(normalised_clip(dtype=dtype))
    assert {value.dtype for value in output} == {dtype}


def test_a_clip_that_is_not_contiguous_gives_the_same():
    clip = normalised_clip(time=6, height=6, width=8)[:, ::2, :, ::3, 1::2]
    assert not clip.is_contiguous()
    layer = MotionPrompt()
    for found, expected in zip(layer(clip), layer(clip.contiguous()), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_the_clip_is_not_changed():
    clip = normalised_clip()
    before = clip.clone()
    MotionPrompt()(clip)
    assert torch.equal(clip, before)


@pytest.mark.parametrize(
    "normalisation", [Gamma(), MaxExp(), SigmE(signed=True), AsinhE(), AxMin(5.0)], ids=repr
)
def test_any_power_normalisation_takes_the_learnable_ones_place(normalisation):
    layer = MotionPrompt(normalisation=normalisation)
    output = layer(normalised_clip(dtype=torch.float32))
    assert output.video.shape == (2, 3, 3, 3, 5)
    assert output.attention.abs().max() <= 1
    assert output.variation > 0
    assert not layer.state_dict()


def test_the_state_dict_is_the_two_scalars():
    state = MotionPrompt().state_dict()
    assert sorted(state) == ["normalisation.m", "normalisation.n"]
    assert all(value.numel() == 1 for value in state.values())


def test_a_safetensors_round_trip_and_a_deep_copy_give_the_same_layer(tmp_path):
    layer = MotionPrompt.reference(seed=4)
    save_file(layer.state_dict(), tmp_path / "layer.safetensors")
    loaded = MotionPrompt(grey_weights=layer.grey_weights)
    loaded.load_state_dict(load_file(tmp_path / "layer.safetensors"))
    clip = normalised_clip()
    for other in (loaded, copy.deepcopy(layer)):
        for found, expected in zip(other(clip), layer(clip), strict=True):
            assert torch.equal(found, expected)


def test_printing_the_layer_shows_its_settings():
    shown = repr(MotionPrompt(layout="BCTHW", penalty=2.5, normalisation=Gamma(0.3)))
    for words in ("layout='BCTHW'", "penalty=2.5", "std=(0.225, 0.225, 0.225)", "exponent=0.3"):
        assert words in shown
    assert "LearnableSigmoid" in repr(MotionPrompt().to("meta"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"mean": (0.45,)}, r"mean is \(0.45,\); expected 3 finite numbers"),
        ({"mean": (0.45, 0.45, math.nan)}, "mean is"),
        ({"mean": 0.45}, r"mean is 0.45; expected 3 finite numbers"),
        ({"std": (0.2,) * 4}, "std is .* expected 3 finite numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "std is .* expected values above 0"),
        ({"std": (0.2, 0.2, -0.2)}, "std is .* expected values above 0"),
        ({"std": (0.2, 0.2, math.inf)}, "std is .* finite"),
        ({"grey_weights": (1.0,)}, "grey_weights is"),
        ({"layout": "BTHW"}, "layout 'BTHW' is not known"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"penalty": math.nan}, "penalty is nan"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_one_sentence(settings, says):
    with pytest.raises(InputError, match=says) as caught:
        MotionPrompt(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("clip", "says"),
    [
        (torch.zeros(1, 1, 3, 4, 4), "1 frame; a motion prompt needs at least 2"),
        (torch.zeros(5, 3, 4, 4), "rank 4; layout BTCHW needs rank 5"),
        (torch.zeros(1, 3, 5, 4, 4), "5 channels on axis 2"),
        (torch.zeros(1, 5, 3, 4, 4, dtype=torch.int64), "torch.int64"),
    ],
)
def test_a_clip_that_cannot_be_prompted_is_refused(clip, says):
    for check in (MotionPrompt(), check_clip):
        with pytest.raises(InputError, match=says):
            check(clip)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_check_clip_finds_what_is_not_finite_and_says_where(value, dtype):
    clip = normalised_clip(dtype=dtype).transpose(1, 2)
    check_clip(clip, layout="BCTHW")
    clip[1, 0, 2, 1, 1] = value
    clip[1, 0, 3, 1, 1] = value
    with pytest.raises(
        InputError, match=r"2 NaN or infinite values, the first in frame 2 of clip 1"
    ):
        check_clip(clip, layout="BCTHW")


def test_a_nan_is_not_hidden_by_the_layer():
    clip = normalised_clip()
    clip[0, 1, 0, 0, 0] = math.nan
    output = MotionPrompt()(clip)
    assert output.video.isnan().any()
    assert output.variation.isnan()
