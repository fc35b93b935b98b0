"""Quicker convolutions give the numbers of the slow ones, forward and backward."""

import importlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kinema.backbones import slowfast_r50, x3d_s

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


def first_of_slowfast() -> nn.Module:
    return nn.Conv3d(3, 2, (5, 7, 7), stride=(1, 2, 2), padding=(2, 3, 3))


def uneven() -> nn.Module:
    return nn.Conv3d(2, 3, (3, 3, 5), stride=(1, 1, 2), padding=(1, 0, 2))


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (patches, (5, 3, 16, 24)),
        (first_of_slowfast, (2, 3, 6, 12, 16)),
        (uneven, (2, 2, 1, 5, 9)),
        (small_x3d, (2, 3, 4, 32, 32)),
    ],
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


def small_slowfast() -> nn.Module:
    return slowfast_r50(num_classes=3, num_frames=8, size=32, width=8, depths=(1, 1, 1, 1))


def is_slow(convolution: nn.Conv3d) -> bool:
    depth, *across = convolution.kernel_size
    return depth > 1 and (convolution.groups > 1 if across == [1, 1] else convolution.groups == 1)


@pytest.mark.parametrize(("build", "count"), [(small_x3d, 1), (small_slowfast, 1)])
def test_every_slow_convolution_is_taken_another_way(quicken: Any, build: Any, count: int) -> None:
    model = build()
    quicken(model)
    slow = [each for each in model.modules() if isinstance(each, nn.Conv3d) and is_slow(each)]
    assert len(slow) == count
    assert all("forward" in vars(each) for each in slow)


def test_channels_of_one_place_are_multiplied_where_channels_are_convolved_apart(
    quicken: Any,
) -> None:
    model = small_x3d()
    quicken(model)
    of_one_place = [
        each
        for each in model.modules()
        if isinstance(each, nn.Conv3d) and each.kernel_size == (1, 1, 1)
    ]
    assert len(of_one_place) > 8
    assert all("forward" in vars(each) for each in of_one_place)
