"""The learning rate against its closed forms."""

import math
from dataclasses import replace

import pytest

from kinema.recognition import read_recipe, relative_rate
from tests.recognition.tiny import TRANSFORMER

COSINE = replace(TRANSFORMER, num_epochs=10, num_warmup_epochs=2.0)


def test_the_published_steps() -> None:
    recipe = read_recipe("timesformer-mpii")
    rates = [relative_rate(recipe, epoch) for epoch in range(25)]
    assert rates == [1.0] * 11 + [0.1] * 3 + [0.01] * 11
    assert relative_rate(recipe, 10.999) == 1.0


@pytest.mark.parametrize("epoch", [2.0, 3.7, 6.0, 9.99])
def test_half_a_cosine_after_the_rise(epoch: float) -> None:
    assert relative_rate(COSINE, epoch) == pytest.approx(math.cos(math.pi * (epoch - 2) / 16) ** 2)


def test_the_rise_is_a_straight_line_from_nothing() -> None:
    assert [relative_rate(COSINE, epoch) for epoch in (0, 0.5, 1, 2)] == [0, 0.25, 0.5, 1]


def test_the_end_is_nothing() -> None:
    assert relative_rate(COSINE, 10) == pytest.approx(0, abs=1e-12)
    assert relative_rate(replace(COSINE, num_warmup_epochs=0.0), 0) == 1


def test_steps_may_follow_a_rise() -> None:
    recipe = replace(
        COSINE, schedule="steps", step_epochs=(4,), step_rates=(0.2,), num_warmup_epochs=1.0
    )
    assert [relative_rate(recipe, epoch) for epoch in (0.5, 1, 3.9, 4)] == [0.5, 1, 1, 0.2]
