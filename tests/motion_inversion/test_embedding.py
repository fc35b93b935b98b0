import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.motion_inversion.embedding import (
    VALUE_MODES,
    at_grid,
    at_length,
    debias,
    low_rank_factors,
    low_rank_value,
)


def _value(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_debiased_is_equation_5():
    value = _value(3, 4, 5, 2)
    expected = torch.empty_like(value)
    for frame in range(5):
        before = value[:, :, frame - 1] if frame > 0 else 0
        expected[:, :, frame] = value[:, :, frame] - before
    assert torch.equal(debias(value, "debiased"), expected)


def test_debiased_zero_leaves_no_appearance_in_the_first_frame():
    value = _value(3, 4, 5, 2)
    zeroed = debias(value, "debiased-zero")
    assert torch.equal(zeroed[:, :, 1:], debias(value, "debiased")[:, :, 1:])
    assert not zeroed[:, :, 0].any()


@given(st.integers(1, 7), st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_what_does_not_move_is_taken_out(num_frames: int, offset: float):
    value = _value(2, 2, num_frames, 3)
    for mode in ("debiased-zero", "centred"):
        torch.testing.assert_close(debias(value + offset, mode), debias(value, mode))
    still = torch.full((2, 2, num_frames, 3), offset, dtype=torch.float64)
    assert debias(still, "debiased-zero").abs().max() == 0
    # Equation 5 keeps it in the first frame, which is why the mode above exists.
    assert torch.equal(debias(still, "debiased")[..., 0, :], still[..., 0, :])


def test_summing_the_differences_gives_the_value_back():
    value = _value(2, 3, 6, 4)
    torch.testing.assert_close(debias(value, "debiased").cumsum(-2), value)


def test_centred_has_no_mean_over_frames_and_raw_and_none_are_what_they_say():
    value = _value(2, 3, 6, 4)
    assert debias(value, "centred").mean(-2).abs().max() < 1e-15
    assert debias(value, "raw") is value
    assert not debias(value, "none").any()


def test_every_mode_is_linear():
    a, b = _value(2, 3, 6, 4), _value(2, 3, 6, 4, seed=1)
    for mode in VALUE_MODES:
        torch.testing.assert_close(
            debias(2 * a - b, mode), 2 * debias(a, mode) - debias(b, mode), atol=1e-12, rtol=0
        )


def test_an_unknown_mode_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"value is 'blurred'; expected one of raw, debiased"):
        debias(_value(1, 1, 2, 1), "blurred")


@given(st.integers(2, 9), st.integers(2, 12))
@settings(max_examples=30, deadline=None)
def test_another_length_keeps_both_ends_and_straight_lines(num_frames: int, wanted: int):
    slope, start = _value(2, 1, 3), _value(2, 1, 3, seed=1)
    times = torch.linspace(0, 1, num_frames, dtype=torch.float64)[:, None]
    expected = torch.linspace(0, 1, wanted, dtype=torch.float64)[:, None]
    resized = at_length(start + slope * times, wanted)
    torch.testing.assert_close(resized, start + slope * expected, atol=1e-12, rtol=0)


def test_the_right_length_and_grid_are_left_alone():
    value = _value(3, 4, 5, 2)
    assert at_length(value, 5) is value
    assert at_grid(value, (3, 4)) is value


def test_another_grid_keeps_height_and_width_apart():
    rows = torch.arange(4, dtype=torch.float64)[:, None, None, None].expand(4, 6, 2, 3)
    resized = at_grid(rows, (8, 3))
    assert resized.shape == (8, 3, 2, 3)
    assert torch.equal(resized, resized[:, :1].expand(8, 3, 2, 3))  # nothing varies in width
    torch.testing.assert_close(
        resized[1:-1, 0, 0, 0], torch.arange(1, 7, dtype=torch.float64) / 2 - 0.25
    )


def test_a_grid_of_scores_is_the_grid_of_the_value():
    scores, directions = _value(3, 4, 5, 2), _value(2, 6, seed=1)
    torch.testing.assert_close(
        low_rank_value(at_grid(scores, (5, 7)), directions),
        at_grid(low_rank_value(scores, directions), (5, 7)),
    )


def test_low_rank_is_the_sum_over_its_directions():
    scores, directions = _value(3, 4, 5, 2), _value(2, 6, seed=1)
    expected = torch.zeros(3, 4, 5, 6, dtype=torch.float64)
    for number in range(2):
        expected += scores[..., number, None] * directions[number]
    torch.testing.assert_close(low_rank_value(scores, directions), expected)


@pytest.mark.parametrize("places", [(3, 4), (1, 1)], ids=str)
def test_low_rank_factors_are_the_closest_there_are(places: tuple[int, int]):
    value = _value(*places, 5, 6)
    for rank in (1, 2, 6):
        scores, directions = low_rank_factors(value, rank)
        assert (scores.shape, directions.shape) == ((*places, 5, rank), (rank, 6))
        torch.testing.assert_close(
            directions @ directions.mT, torch.eye(rank, dtype=torch.float64), atol=1e-12, rtol=0
        )
        singular = torch.linalg.svdvals(value.flatten(0, 2))
        lost = (low_rank_value(scores, directions) - value).square().sum()
        # Eckart and Young: what is left out is what the other singular values say.
        torch.testing.assert_close(lost, singular[rank:].square().sum(), atol=1e-9, rtol=0)


def test_resizing_passes_gradients_on():
    value = _value(3, 4, 5, 2).requires_grad_()
    at_grid(at_length(value, 7), (6, 6)).sum().backward()
    assert value.grad is not None
    assert value.grad.abs().min() > 0
