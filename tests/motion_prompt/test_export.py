import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

from kinema.errors import InputError
from kinema.motion_prompt import Gamma, MotionPrompt, SigmE, with_motion_prompt

onnxruntime = pytest.importorskip("onnxruntime")


def tiny_classifier():
    backbone = nn.Sequential(
        nn.Conv3d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
    )
    return with_motion_prompt(backbone, prompt=MotionPrompt(layout="BCTHW"), num_frames=4).eval()


MODELS = {
    "layer": (lambda: MotionPrompt.reference(seed=2), (2, 5, 3, 7, 9)),
    "unbatched layer": (lambda: MotionPrompt(layout="CTHW"), (3, 5, 7, 9)),
    "two frames": (MotionPrompt, (1, 2, 3, 7, 9)),
    "gamma": (lambda: MotionPrompt(normalisation=Gamma()), (1, 3, 3, 7, 9)),
    "signed SigmE": (lambda: MotionPrompt(normalisation=SigmE(signed=True)), (1, 3, 3, 7, 9)),
    "classifier": (tiny_classifier, (2, 3, 5, 8, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_torch_export_gives_the_same_program(name):
    make, shape = MODELS[name]
    model = make()
    exported = torch.export.export(model, (torch.randn(shape),), strict=False).module()
    clip = torch.randn(shape)
    for found, expected in zip(exported(clip), model(clip), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("strict", [False, True])
def test_batch_time_and_size_may_stay_open_in_an_export(strict):
    layer = MotionPrompt()
    open_axes = {0: Dim("batch"), 1: Dim("time", min=4), 3: Dim("height"), 4: Dim("width")}
    exported = torch.export.export(
        layer, (torch.randn(2, 5, 3, 8, 6),), dynamic_shapes={"clip": open_axes}, strict=strict
    ).module()
    clip = torch.randn(3, 7, 3, 9, 5)
    for found, expected in zip(exported(clip), layer(clip), strict=True):
        torch.testing.assert_close(found, expected)


def test_an_export_of_the_wrong_number_of_frames_is_refused():
    with pytest.raises(InputError, match=r"6 frames; .* needs 5"):
        torch.export.export(tiny_classifier(), (torch.randn(2, 3, 6, 8, 8),), strict=False)


@pytest.mark.parametrize("name", ["layer", "two frames", "gamma", "classifier"])
def test_onnx_runs_to_the_same_numbers(name, tmp_path):
    make, shape = MODELS[name]
    model = make()
    model.eval()
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, (torch.randn(shape),), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    clip = torch.randn(shape)
    found = session.run(None, {session.get_inputs()[0].name: clip.numpy()})
    with torch.no_grad():
        expected = model(clip)
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted.numpy(), rtol=0, atol=1e-5)
