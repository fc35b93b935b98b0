"""Variants that only the experiments have."""

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kinema.motion_inversion import PRESETS
from kinema.peers import Inversion

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("ablations")


@pytest.fixture
def variants(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("variants")


def test_a_motion_is_compressed_as_soon_as_it_is_learned(variants: Any) -> None:
    ranks: list[int] = []
    learned = SimpleNamespace(compressed=lambda rank: ranks.append(rank) or "small")
    inner = SimpleNamespace(learn=lambda pipe, video, **given: learned)
    assert variants.Compressed(inner, rank=3).learn(None, None, prompt="a star") == "small"
    assert ranks == [3]


@pytest.mark.parametrize("first", [True, False])
def test_a_part_of_the_frames_keeps_its_value_and_all_of_the_query_keys(
    first: bool, variants: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(Inversion, "generate", lambda self, *given, **_: shown.append(given[2]))
    monkeypatch.setattr(variants.dataclasses, "replace", lambda old, tensors: tensors)
    tensors = {"value/a": torch.ones(2, 3, 4, 5), "query_key/a": torch.ones(1, 4, 5)}
    learned = SimpleNamespace(num_frames=4, tensors=tensors)
    variants.OfFrames("x", PRESETS["default"], first=first).generate(None, "a star", learned)
    (part,) = shown
    kept = torch.tensor([1.0, 0, 0, 0]) if first else torch.tensor([0.0, 1, 1, 1])
    assert torch.equal(part["value/a"], kept[:, None].expand(2, 3, 4, 5))
    assert torch.equal(part["query_key/a"], tensors["query_key/a"])


def test_the_bound_is_the_mean_over_references(ablations: Any) -> None:
    rows = [
        {
            "method": name,
            "num_videos": 3,
            "displacement_cosine": {"mean": cosine, "spread": 0.0},
            "leak": None,
            "seconds": {"median": seconds, "mean": 9.0, "spread": 0.0},
            "peak_bytes": peak,
            "parameters": 5,
            "file_bytes": 7,
        }
        for name, cosine, seconds, peak in (("a", 0.8, 1.0, 10), ("b", 1.0, 2.0, 20))
    ]
    whole = ablations._over_references(rows)
    assert (whole["method"], whole["num_videos"], whole["peak_bytes"]) == ("own prompts", 6, 20)
    assert whole["displacement_cosine"] == {
        "mean": pytest.approx(0.9),
        "spread": pytest.approx(0.02**0.5),
    }
    assert whole["seconds"]["mean"] == 1.5
    assert whole["leak"] is None
