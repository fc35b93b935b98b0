"""How often features put two clips of one motion closer than two of different ones."""

import importlib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def frame_features(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("frame_features")


@pytest.mark.parametrize(
    ("unlike", "share"),
    [
        ([0.1, 0.5, 0.2, 0.6], 1.0),
        ([0.5, 0.1, 0.6, 0.2], 0.0),
        ([0.1, 0.2, 0.3, 0.4], 0.75),
        ([0.1, 0.1, 0.1, 0.1], 0.5),
    ],
)
def test_the_share_in_order_is_of_all_pairs_of_pairs(
    unlike: list[float], share: float, frame_features: Any
) -> None:
    same = [True, False, True, False]
    assert frame_features.share_in_order(unlike, same) == pytest.approx(share)
