"""Settings of few steps: no step more than was asked for, and none where a method had fewer."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from kinema.peers import METHODS

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def shortened(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("shortened").shortened


def test_what_learns_and_what_inverts_does_so_in_few_steps(shortened: Any) -> None:
    found = shortened(METHODS, 20)
    assert list(found) == list(METHODS)
    assert found["none"] == METHODS["none"].defaults
    assert found["kinema"].num_steps == 20
    assert (found["vmc"].num_steps, found["vmc"].inversion_steps) == (20, 20)
    assert found["dmt"].inversion_steps == 20
    assert shortened(METHODS, 160)["vmc"].inversion_steps == METHODS["vmc"].defaults.inversion_steps


def test_unasked_every_method_has_its_own(shortened: Any) -> None:
    assert shortened(METHODS, None) == {}
