import pytest
import torch

from kinema.motion_prompt import attention_variation


def slow_variation(attention):
    batch, num_maps, height, width = attention.shape
    total = 0.0
    for b in range(batch):
        for t in range(num_maps - 1):
            for y in range(height):
                for x in range(width):
                    total += (attention[b, t + 1, y, x] - attention[b, t, y, x]).item() ** 2
    return total / ((num_maps - 1) * batch * height * width)


@pytest.mark.parametrize("shape", [(1, 2, 3, 3), (2, 5, 4, 3)])
def test_variation_is_the_mean_squared_change_over_pairs_clips_and_pixels(shape):
    attention = torch.rand(*shape, dtype=torch.float64)
    assert attention_variation(attention).item() == pytest.approx(slow_variation(attention))


def test_a_single_map_varies_by_zero_and_can_be_trained_on():
    attention = torch.rand(2, 1, 3, 3, requires_grad=True)
    variation = attention_variation(attention)
    variation.backward()
    assert variation == 0
    assert not attention.grad.any()


def test_variation_is_zero_for_constant_attention_and_one_at_most():
    assert attention_variation(torch.full((1, 4, 2, 2), 0.7)) == 0
    flashing = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 4, 4)
    assert attention_variation(flashing) == 1


def test_repeating_clips_in_the_batch_leaves_the_variation_alone():
    attention = torch.rand(1, 4, 3, 3, dtype=torch.float64)
    once, thrice = attention_variation(attention), attention_variation(attention.repeat(3, 1, 1, 1))
    assert thrice.item() == pytest.approx(once.item())


def test_the_gradient_of_the_variation_is_right():
    attention = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(attention_variation, (attention,))
