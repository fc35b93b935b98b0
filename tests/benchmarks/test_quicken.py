"""Quicker convolutions give the numbers of the slow ones, forward and backward."""

import importlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kinema.backbones import x3d_s

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


@pytest.fixture
def quicken(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(STUDIES)
    return importlib.import_module("quicken").quicken


def patches() -> nn.Module:
    return nn.Conv2d(3, 10, kernel_size=(4, 8), stride=(4, 8))


def small_x3d() -> nn.Module:
    return x3d_s(
        num_classes=3,
        num_frames=4,
        size=32,
        width=8,
        depths=(1, 1, 1, 1),
        head_width=16,
        dropout=0.0,
    )


@pytest.mark.parametrize(
    ("build", "shape"), [(patches, (5, 3, 16, 24)), (small_x3d, (2, 3, 4, 32, 32))]
)
def test_outputs_and_gradients_stay(quicken: Any, build: Any, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    slow = build().double()
    quick = deepcopy(slow)
    quicken(quick)
    clip = torch.randn(shape, dtype=torch.float64)
    found = []
    for model in (slow, quick):
        given = clip.clone().requires_grad_()
        output = model(given)
        output.square().sum().backward()
        found.append([output, given.grad, *(each.grad for each in model.parameters())])
    for expected, value in zip(*found, strict=True):
        torch.testing.assert_close(value, expected, atol=1e-9, rtol=1e-9)


def test_every_slow_convolution_is_taken_another_way(quicken: Any) -> None:
    model = small_x3d()
    quicken(model)
    over_time = [
        each
        for each in model.modules()
        if isinstance(each, nn.Conv3d) and each.groups > 1 and each.kernel_size[1:] == (1, 1)
    ]
    assert over_time
    assert all("forward" in vars(each) for each in over_time)
