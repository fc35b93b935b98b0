"""The public zoo's own models beside ours, where pytorchvideo is installed."""

import sys
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch
from torch import nn

from kinema.backbones import FACTS, slow_frames
from tests.backbones.tiny import ZOO, randomise


@pytest.fixture
def zoo(monkeypatch):
    """pytorchvideo's models; it imports one layer of torchvision that these never use."""
    pytest.importorskip("pytorchvideo")
    if find_spec("torchvision") is None:
        torchvision, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
        torchvision.ops, ops.RoIAlign = ops, type("RoIAlign", (nn.Module,), {})
        monkeypatch.setitem(sys.modules, "torchvision", torchvision)
        monkeypatch.setitem(sys.modules, "torchvision.ops", ops)
    return pytest.importorskip("pytorchvideo.models")


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


@pytest.mark.parametrize("name", ZOO)
def test_the_zoos_state_dict_loads_unchanged_and_gives_the_same(zoo, name):
    public, ours = public_model(zoo, name), ZOO[name]()
    randomise(public)
    state = public.state_dict()
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in ours.state_dict().items()
    }
    ours.load_state_dict(state, strict=True)
    public.eval()
    ours.eval()
    size = 64 if name == "slowfast_r50" else FACTS[name].size
    clip = torch.randn(1, 3, FACTS[name].num_frames, size, size)
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
