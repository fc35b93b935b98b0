"""The public zoo's own models beside ours: their logits written down, and where pytorchvideo is
installed, the models themselves.

It needs no torchvision here: `pip install --no-deps pytorchvideo==0.1.5 fvcore iopath parameterized
yacs portalocker termcolor tabulate`.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from kinema.backbones import FACTS, slow_frames
from tests.backbones.tiny import ZOO, noise, randomise

# The first four logits of pytorchvideo 0.1.5 in float64, under the weights and clips made below.
LOGITS = {
    "slowfast_r50": [0.08177, -0.41492, 0.06281, -0.19686],
    "x3d_xs": [-0.28451, -0.3545, 0.01239, 0.02562],
    "x3d_s": [-0.28301, -0.35125, 0.01709, 0.01947],
    "x3d_m": [-0.27989, -0.3463, 0.0184, 0.01756],
}


@pytest.fixture
def zoo(monkeypatch):
    """pytorchvideo's models; it imports one layer of torchvision that these never use."""
    pytest.importorskip("pytorchvideo")
    if find_spec("torchvision") is None:
        torchvision, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
        torchvision.ops, ops.RoIAlign = ops, type("RoIAlign", (nn.Module,), {})
        monkeypatch.setitem(sys.modules, "torchvision", torchvision)
        monkeypatch.setitem(sys.modules, "torchvision.ops", ops)
    return SimpleNamespace(
        slowfast=import_module("pytorchvideo.models.slowfast"),
        x3d=import_module("pytorchvideo.models.x3d"),
    )


def public_model(zoo, name):
    if name == "slowfast_r50":
        # Its window of 7 x 7 would need crops of 224; on smaller ones ours averages all places.
        return zoo.slowfast.create_slowfast(
            slowfast_fusion_conv_kernel_size=(7, 1, 1),
            head_pool_kernel_sizes=((8, 1, 1), (32, 1, 1)),
        )
    return zoo.x3d.create_x3d(
        input_clip_length=FACTS[name].num_frames,
        input_crop_size=FACTS[name].size,
        depth_factor=2.2,
    )


def clip_of(name, *, batch=1):
    size = 64 if name == "slowfast_r50" else FACTS[name].size
    return noise((batch, 3, FACTS[name].num_frames, size, size), seed=0).float()


@pytest.mark.parametrize("name", ZOO)
def test_known_weights_give_the_logits_that_the_zoos_model_gave(name):
    model = randomise(ZOO[name]()).eval()
    with torch.inference_mode():
        logits = model(clip_of(name))[0, :4]
    torch.testing.assert_close(logits, torch.tensor(LOGITS[name]), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ZOO)
def test_the_zoos_state_dict_loads_unchanged_and_gives_the_same(zoo, tmp_path, name):
    public = randomise(public_model(zoo, name)).eval()
    state = public.state_dict()
    torch.save({"model_state": state, "epoch": 1}, tmp_path / "zoo.pyth")
    ours = ZOO[name](weights=tmp_path / "zoo.pyth").eval()
    assert [(key, value.shape) for key, value in state.items()] == [
        (key, value.shape) for key, value in ours.state_dict().items()
    ]
    ours.load_state_dict(state, strict=True)
    clip = clip_of(name)
    with torch.inference_mode():
        logits = ours(clip)
        if name == "slowfast_r50":
            expected = public([slow_frames(clip), clip])
        else:
            torch.testing.assert_close(logits.softmax(1), public(clip), rtol=0, atol=1e-6)
            public.blocks[-1].activation = None
            expected = public(clip)
    assert expected.std() > 0.1
    assert (logits - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["slowfast_r50", "x3d_xs"])
def test_a_training_step_gives_the_same_gradients_and_statistics(zoo, name):
    public = randomise(public_model(zoo, name)).double().train()
    ours = ZOO[name](dropout=0.0).double().train()
    ours.load_state_dict(public.state_dict(), strict=True)
    public.blocks[-1].dropout = None
    public.blocks[-1].activation = None
    clip = clip_of(name, batch=2).double()
    labels = torch.tensor([3, 141])
    nn.functional.cross_entropy(ours(clip), labels).backward()
    public_clip = [slow_frames(clip), clip] if name == "slowfast_r50" else clip
    nn.functional.cross_entropy(public(public_clip), labels).backward()
    expected = dict(public.named_parameters())
    for key, value in ours.named_parameters():
        torch.testing.assert_close(value.grad, expected[key].grad, rtol=1e-6, atol=1e-10)
    expected = dict(public.named_buffers())
    for key, value in ours.named_buffers():
        torch.testing.assert_close(value, expected[key])
