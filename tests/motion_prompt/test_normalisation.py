import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.motion_prompt import (
    AsinhE,
    AxMin,
    Gamma,
    LearnableSigmoid,
    MaxExp,
    SigmE,
    asinhe,
    axmin,
    gamma_power,
    learnable_sigmoid,
    maxexp,
    sigme,
    sigmoid_shift,
    sigmoid_slope,
)

unit = st.floats(-1, 1, allow_subnormal=False)


def real(value):
    return torch.tensor(value, dtype=torch.float64)


def sign(x):
    return (x > 0) - (x < 0)


def slow_sigmoid(difference, m, n):
    a = 5 / (0.45 * abs(math.tanh(m)) + 0.1)
    b = 0.6 * math.tanh(n)
    return 1 / (1 + math.exp(-a * (difference - b)))


# The values of m and n that the authors' project page shows, and what they come to.
@pytest.mark.parametrize(
    ("m", "n", "slope", "shift", "at_zero", "at_minus_half"),
    [
        (1.69, -0.26, "9.6", "-0.153", "0.81", "0.034"),
        (1.80, -0.26, "9.5", "-0.153", "0.81", "0.035"),
        (0.86, -2.13, "12.1", "-0.583", "0.999", "0.73"),
        (1.02, -2.32, "11.2", "-0.589", "0.999", "0.73"),
        (1.30, -2.94, "10.3", "-0.597", "0.998", "0.73"),
        (0.2646, -0.6615, "23.1", "-0.348", "1.000", "0.03"),
        (0.257, 0.053, "23.5", "0.032", "0.32", "0.00"),
        (0.8916, -0.2543, "11.9", "-0.149", "0.855", "0.015"),
        (0.1, 0.0, "34.5", "0.000", "0.50", "0.00"),
    ],
)
def test_published_scalars_give_the_published_slope_shift_and_attention(
    m, n, slope, shift, at_zero, at_minus_half
):
    def digits(text):
        return len(text.split(".")[1])

    def attention(difference):
        return learnable_sigmoid(real(difference), real(m), real(n)).item()

    found = (sigmoid_slope(real(m)), sigmoid_shift(real(n)), attention(0.0), attention(-0.5))
    for value, text in zip(found, (slope, shift, at_zero, at_minus_half), strict=True):
        assert f"{float(value):.{digits(text)}f}" == text


@settings(max_examples=60, deadline=None)
@given(difference=unit, m=st.floats(-6, 6), n=st.floats(-6, 6))
def test_the_learnable_sigmoid_follows_its_formula(difference, m, n):
    found = learnable_sigmoid(real(difference), real(m), real(n)).item()
    assert found == pytest.approx(slow_sigmoid(difference, m, n), rel=1e-12, abs=1e-30)
    assert 0 < found <= 1
    assert 9.0909 < sigmoid_slope(real(m)) <= 50
    assert abs(sigmoid_shift(real(n))) < 0.6


@pytest.mark.parametrize(("m", "n"), [(0.1, 0.0), (-0.7, 1.2), (2.0, -0.3)])
def test_gradients_of_m_n_and_the_difference_are_right(m, n):
    difference = torch.linspace(-1, 1, 7, dtype=torch.float64, requires_grad=True)
    scalars = [real(m).requires_grad_(), real(n).requires_grad_()]
    assert torch.autograd.gradcheck(learnable_sigmoid, (difference, *scalars))


def test_the_learnable_sigmoid_holds_exactly_m_and_n():
    module = LearnableSigmoid()
    assert {name: value.shape for name, value in module.state_dict().items()} == {
        "m": torch.Size([]),
        "n": torch.Size([]),
    }
    assert module.m.item() == pytest.approx(0.1)
    assert module.n.item() == 0


def test_a_zero_m_has_a_finite_gradient():
    module = LearnableSigmoid(m=0.0)
    module(torch.linspace(-1, 1, 9)).sum().backward()
    assert module.m.grad == 0
    assert module.n.grad.isfinite()


@settings(max_examples=60, deadline=None)
@given(x=unit, gamma=st.floats(0.05, 1), eta=st.floats(1, 40))
def test_the_comparison_functions_follow_their_formulas(x, gamma, eta):
    def close(found, expected):
        assert found.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)

    close(gamma_power(real(x), exponent=gamma), sign(x) * abs(x) ** gamma)
    close(sigme(real(x), steepness=eta), 2 / (1 + math.exp(-eta * x)) - 1)
    close(asinhe(real(x), steepness=eta), math.asinh(eta * x) / math.asinh(eta))
    close(maxexp(real(abs(x)), exponent=eta), 1 - (1 - abs(x)) ** eta)


def test_axmin_divides_by_the_norm_of_each_map_and_cuts_at_one():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64) * 2 - 1
    found = axmin(x, steepness=4.0)
    cut = 0
    for b in range(2):
        for t in range(3):
            norm = math.sqrt(sum(v**2 for v in x[b, t].flatten().tolist()))
            for y in range(4):
                for z in range(5):
                    value = x[b, t, y, z].item()
                    strength = 4.0 * abs(value) / (norm + 1e-6)
                    cut += strength > 1
                    expected = sign(value) * min(strength, 1)
                    assert found[b, t, y, z].item() == pytest.approx(expected, abs=1e-14)
    assert 0 < cut < x.numel()


SIGNED = [
    Gamma(0.5, signed=True),
    Gamma(0.1, signed=True),
    SigmE(3.0, signed=True),
    SigmE(13.0, signed=True),
    AsinhE(3.5, signed=True),
    AsinhE(1500.0, signed=True),
    AxMin(2.0, signed=True),
]
UNSIGNED = [Gamma(0.5), MaxExp(2.0), MaxExp(10.0), SigmE(13.0), AsinhE(3.5), AxMin(2.0)]


def ramp():
    return (torch.arange(-10, 11, dtype=torch.float64) / 10).view(1, 1, 3, 7)


@pytest.mark.parametrize("module", [*SIGNED, *UNSIGNED], ids=repr)
def test_a_normalisation_is_zero_at_rest_and_monotone(module):
    x = ramp()
    found = module(x)
    assert found.shape == x.shape
    assert found.flatten()[10] == 0
    assert (found.flatten().diff() >= 0).all()
    assert not list(module.parameters())
    assert module(torch.zeros(1, 1, 2, 2)).abs().max() == 0


@pytest.mark.parametrize("module", SIGNED, ids=repr)
def test_a_signed_normalisation_is_odd_and_within_one(module):
    torch.testing.assert_close(module(-ramp()), -module(ramp()), rtol=0, atol=1e-15)
    assert module(ramp()).abs().max() <= 1
    assert module(ramp()).flatten()[0] < 0


@pytest.mark.parametrize("module", UNSIGNED, ids=repr)
def test_an_unsigned_normalisation_answers_to_brightening_only(module):
    found = module(ramp()).flatten()
    assert not found[:11].any()
    assert (found[11:] > 0).all()
    assert found.max() <= 1


@pytest.mark.parametrize("function", [Gamma, SigmE, AsinhE])
def test_signed_and_unsigned_agree_on_brightening(function):
    signed, unsigned = function(signed=True), function()
    assert torch.equal(signed(ramp()).flatten()[10:], unsigned(ramp()).flatten()[10:])


def test_the_value_at_one_is_as_derived():
    one = real(1.0)
    assert maxexp(one, exponent=7.3) == 1
    assert gamma_power(one, exponent=0.3) == 1
    assert asinhe(one, steepness=3.5) == 1
    assert sigme(one, steepness=3.0).item() == pytest.approx(math.tanh(1.5))


def test_an_exponent_of_one_is_the_identity():
    x = ramp()
    assert torch.equal(gamma_power(x, exponent=1.0), x)
    torch.testing.assert_close(maxexp(x.relu(), exponent=1.0), x.relu(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("module", [*SIGNED, *UNSIGNED], ids=repr)
def test_gradients_are_finite_at_rest_and_at_the_ends(module):
    for x in (ramp(), torch.zeros(1, 1, 2, 2, dtype=torch.float64)):
        x.requires_grad_()
        module(x).sum().backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("module", [*SIGNED, *UNSIGNED], ids=repr)
def test_gradients_are_right_away_from_rest(module):
    x = torch.tensor([[[[0.1, 0.35], [0.6, -0.8]]]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_gamma_lets_nan_pass(exponent: float):
    x = torch.tensor([0.25, math.nan, 0.0])
    powered = gamma_power(x, exponent=exponent)
    assert powered.isnan().tolist() == [False, True, False]


def test_values_past_one_by_rounding_do_not_give_nan():
    assert maxexp(torch.tensor([1.0000001, -1e-9]), exponent=2.5).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Gamma(0.0), "exponent is 0.0; Gamma"),
        (lambda: Gamma(1.5), "exponent is 1.5; Gamma"),
        (lambda: MaxExp(0.5), "exponent is 0.5; MaxExp"),
        (lambda: SigmE(math.nan), "steepness is nan; SigmE"),
        (lambda: AsinhE(0.0), "steepness is 0.0; AsinhE"),
        (lambda: AxMin(math.inf), "steepness is inf; AxMin"),
    ],
)
def test_a_parameter_out_of_range_is_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()
