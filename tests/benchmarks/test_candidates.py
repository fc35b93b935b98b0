"""Every candidate of the studies stands before a backbone as a motion prompt does."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from kinema.backbones import facts_of, x3d_s
from kinema.recognition import read_recipe

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Front ends by name, made for a small X3D."""
    monkeypatch.syspath_prepend(STUDIES)
    makers = importlib.import_module("candidates").CANDIDATES
    small = x3d_s(num_classes=3, num_frames=9, size=32, width=8, depths=(1, 1, 1, 1), head_width=16)
    recipe = read_recipe("ut-interaction-x3d")
    return {name: make(recipe, facts_of(small)) for name, make in makers.items()}


def clip_of() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 10, 16, 16, generator=generator)


def test_all_show_as_many_frames_as_a_prompt_and_learn(candidates: dict[str, Any]) -> None:
    for name, layer in candidates.items():
        output = layer(clip_of())
        assert output.video.shape == (2, 3, 9, 16, 16), name
        assert output.video.isfinite().all(), name
        assert output.attention.shape == (2, 9, 16, 16), name
        output.video.square().sum().backward()
        learned = [each.grad for each in layer.parameters() if each.grad is not None]
        assert learned, name


def test_chance_is_for_training(candidates: dict[str, Any]) -> None:
    torch.manual_seed(0)
    for name, layer in candidates.items():
        shown = [layer.train()(clip_of()).video for _ in range(20)]
        drawn = "either" in name or "jittered" in name
        assert all(torch.equal(each, shown[0]) for each in shown) is not drawn, name
        once, again = (layer.eval()(clip_of()).video for _ in range(2))
        assert torch.equal(once, again), name


def test_what_is_shown_of_grey_changes(candidates: dict[str, Any]) -> None:
    clip = clip_of()
    shown = candidates["grey at one lag"].eval()(clip).video
    rectified = candidates["grey at one lag, rectified"].eval()(clip).video
    apart = candidates["grey at one lag, apart"].eval()(clip).video
    torch.testing.assert_close(rectified, shown.abs())
    torch.testing.assert_close(apart[:, 0] - apart[:, 1], shown[:, 0])
    torch.testing.assert_close(apart[:, 0] + apart[:, 1], apart[:, 2])
    mixed = candidates["grey at one lag, signed and sizes, jittered"].eval()(clip).video
    torch.testing.assert_close(mixed[:, 0], shown[:, 0])
    torch.testing.assert_close(mixed[:, 1:], shown[:, 1:].abs())
    grey_at_lags = candidates["grey at three lags"].eval()(clip).video
    # At the first frame all lags reach back to the same one.
    torch.testing.assert_close(grey_at_lags[:, 1, 0], grey_at_lags[:, 0, 0])
    assert not torch.allclose(grey_at_lags[:, 1, 5], grey_at_lags[:, 0, 5])


def test_signs_by_chance_turn_whole_clips(candidates: dict[str, Any]) -> None:
    torch.manual_seed(0)
    clip = clip_of()[:1]
    layer = candidates["grey at one lag, either"]
    still = layer.eval()(clip).video
    shown = [layer.train()(clip).video for _ in range(20)]
    as_they_are = [torch.equal(each, still) for each in shown]
    assert 0 < sum(as_they_are) < 20
    assert all(torch.equal(each.abs(), still.abs()) for each in shown)
