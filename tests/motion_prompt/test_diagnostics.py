import json
import math

import pytest
import torch

from kinema.motion_prompt import LearnableSigmoid, MaxExp, MotionPrompt


def test_diagnostics_describe_the_normalisation_and_the_attention():
    layer = MotionPrompt(normalisation=LearnableSigmoid(1.05, -2.67))
    attention = torch.tensor([0.5, 0.995, 0.999, 0.989]).view(1, 1, 2, 2)
    found = layer.diagnostics(attention)
    slope = 5 / (0.45 * math.tanh(1.05) + 0.1)
    shift = 0.6 * math.tanh(-2.67)
    assert found.slope == pytest.approx(slope)
    assert found.shift == pytest.approx(shift)
    assert found.attention_at_rest == pytest.approx(1 / (1 + math.exp(slope * shift)))
    assert found.attention_at_rest > 0.998
    values = attention.double().flatten().tolist()
    mean = sum(values) / 4
    assert found.attention_mean == pytest.approx(mean)
    assert found.attention_std == pytest.approx(math.sqrt(sum((v - mean) ** 2 for v in values) / 4))
    assert found.share_above_099 == 0.5


def test_diagnostics_go_to_json_and_back():
    layer = MotionPrompt()
    attention = layer(torch.rand(1, 3, 3, 4, 4)).attention
    found = layer.diagnostics(attention).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert sorted(found) == [
        "attention_at_rest",
        "attention_mean",
        "attention_std",
        "share_above_099",
        "shift",
        "slope",
    ]


def test_a_normalisation_without_slope_and_shift_has_none():
    layer = MotionPrompt(normalisation=MaxExp())
    found = layer.diagnostics(layer(torch.rand(1, 3, 3, 4, 4)).attention)
    assert found.slope is None
    assert found.shift is None
    assert found.attention_at_rest == 0


def test_diagnostics_of_a_single_half_precision_pixel_are_finite():
    found = MotionPrompt().diagnostics(torch.full((1, 1, 1, 1), 0.25).bfloat16())
    assert found.attention_std == 0
    assert found.attention_mean == 0.25
