import math

import pytest
import torch
from einops import rearrange

from kinema.errors import InputError
from kinema.motion_prompt import AttentionMaps, MotionPrompt, attention_variation, grey_frames

MEAN, STD = (0.4, 0.45, 0.5), (0.2, 0.25, 0.5)


def frames_of(batch: int = 2, time: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, time, 3, 5, 6, generator=generator, dtype=torch.float64)


def normalised(frames: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(each, dtype=frames.dtype).view(3, 1, 1) for each in (MEAN, STD))
    return (frames - mean) / std


def test_maps_are_those_of_the_formula_whatever_the_normalisation() -> None:
    frames = frames_of()
    layer = AttentionMaps(mean=MEAN, std=STD).double().eval()
    sizes = (0.02, 0.1, 0.7)
    layer.log_sizes.data = torch.tensor(sizes, dtype=torch.float64).log()
    found = layer(normalised(frames))
    grey = grey_frames(frames)
    for t in range(3):
        change = (grey[:, t + 1] - grey[:, t]).abs()
        for channel, size in enumerate(sizes):
            torch.testing.assert_close(found.video[:, t, channel], (change / size).tanh())
    torch.testing.assert_close(found.attention, found.video.mean(dim=2))
    torch.testing.assert_close(found.variation, attention_variation(found.attention))


def test_neither_sign_nor_light_nor_colour_is_shown() -> None:
    layer = AttentionMaps(mean=MEAN, std=STD).double().eval()
    frames = frames_of() / 2
    shown = layer(normalised(frames)).video
    for other in (1 - frames, frames + 0.3, grey_of(frames)):
        torch.testing.assert_close(layer(normalised(other)).video, shown)


def grey_of(frames: torch.Tensor) -> torch.Tensor:
    return grey_frames(frames).unsqueeze(2).expand_as(frames)


def test_a_change_of_the_usual_size_is_brought_to_tanh_1() -> None:
    frames = torch.full((1, 2, 3, 2, 2), 0.4)
    frames[:, 1] += 0.1
    video = AttentionMaps(mean=MEAN, std=STD, size=0.1).eval()(normalised(frames)).video
    torch.testing.assert_close(video, torch.full_like(video, math.tanh(1)))


@torch.no_grad()
def test_training_stretches_each_clip_as_a_whole_and_testing_none() -> None:
    torch.manual_seed(0)
    frames = (0.5 + 0.001 * frames_of(1)).expand(2000, -1, -1, -1, -1).float()
    layer = AttentionMaps(size=1.0, jitter=0.5)
    still = layer.eval()(frames).video
    stretched = layer.train()(frames).video
    # Changes are small against the size, so maps are as large as changes are.
    stretch = (stretched / still).log()
    middle = stretch.flatten(1).nanmedian(dim=1).values
    assert (stretch.flatten(1) - middle[:, None]).nan_to_num().abs().max() < 0.01
    assert middle.mean().item() == pytest.approx(0, abs=0.05)
    assert middle.std().item() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(layer.eval()(frames).video, still)
    assert torch.equal(AttentionMaps(size=1.0, jitter=0.0)(frames).video, still)


def test_the_sizes_learn() -> None:
    layer = AttentionMaps().double().eval()
    clip = frames_of().requires_grad_()

    def loss(sizes: torch.Tensor, clip: torch.Tensor) -> torch.Tensor:
        output = torch.func.functional_call(layer, {"log_sizes": sizes}, (clip,))
        return output.video.sum() + output.variation

    sizes = layer.log_sizes.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, (sizes, clip))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_shapes_and_dtypes_are_those_of_a_motion_prompt(dtype: torch.dtype) -> None:
    clip = frames_of().to(dtype)
    found, expected = AttentionMaps()(clip), MotionPrompt()(clip)
    for name in ("video", "attention", "variation"):
        assert getattr(found, name).shape == getattr(expected, name).shape
        assert getattr(found, name).dtype == getattr(expected, name).dtype


@pytest.mark.parametrize("layout", ["B C T H W", "T C H W", "C T H W", "B T H W C"])
def test_all_layouts_agree(layout: str) -> None:
    canonical = frames_of() if layout.startswith("B") else frames_of()[0]
    axes = "B T C H W" if layout.startswith("B") else "T C H W"
    clip = rearrange(canonical, f"{axes} -> {layout}")
    video = AttentionMaps(layout=layout.replace(" ", "")).eval()(clip).video
    expected = AttentionMaps(layout=axes.replace(" ", "")).eval()(canonical).video
    assert torch.equal(rearrange(video, f"{layout} -> {axes}"), expected)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="1 frame; a motion prompt needs at least 2"):
        AttentionMaps()(frames_of()[:, :1])
    for settings, said in (
        ({"size": 0.0}, "size is 0.0; expected a number above 0"),
        ({"jitter": -1.0}, "jitter is -1.0; expected a finite number from 0 up"),
        ({"penalty": math.inf}, "penalty is inf; expected a finite number from 0 up"),
        ({"std": (0.1, 0.1, 0.0)}, "std is"),
        ({"layout": "BXYZT"}, "layout 'BXYZT' is not known"),
    ):
        with pytest.raises(InputError, match=said):
            AttentionMaps(**settings)
