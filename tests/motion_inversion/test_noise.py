from typing import Any

import pytest
import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion.noise import (
    blended,
    ddim_inversion,
    low_frequencies_of,
    starting_noise,
)


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_a_blend_of_normal_noises_is_normal():
    a, b = _normal(4, 16, 32, 32), _normal(4, 16, 32, 32, seed=1)
    mixed = blended(a, b, share=0.3)
    assert abs(mixed.std() - 1) < 0.01
    assert abs((mixed * a).mean() - 0.3**0.5) < 0.02
    assert torch.equal(blended(a, b, share=1.0), a)
    assert torch.equal(blended(a, b, share=0.0), b)


def test_low_frequencies_come_from_one_and_the_rest_from_the_other():
    a, b = _normal(4, 8, 6, 10), _normal(4, 8, 6, 10, seed=1)
    mixed = low_frequencies_of(a, b, cutoff=0.5)
    # Against the transform written as a sum, wave by wave, for one channel.
    frames, height, width = 8, 6, 10
    times, rows, columns = torch.meshgrid(
        torch.arange(frames), torch.arange(height), torch.arange(width), indexing="ij"
    )
    for kt, kh, kw in ((0, 0, 0), (1, 0, 0), (2, 1, 0), (0, 1, 2), (3, 2, 4), (4, 3, 5), (7, 0, 9)):
        angle = kt * times / frames + kh * rows / height + kw * columns / width
        wave = torch.exp(-2j * torch.pi * angle)
        lengths = [min(k, n - k) / (n / 2) for k, n in ((kt, frames), (kh, height), (kw, width))]
        source = a if sum(length**2 for length in lengths) ** 0.5 <= 0.5 else b
        torch.testing.assert_close(
            (mixed[0] * wave).sum(), (source[0] * wave).sum(), atol=1e-3, rtol=0
        )


def test_the_ends_of_the_cutoff_are_the_two_noises():
    a, b = _normal(2, 8, 6, 10), _normal(2, 8, 6, 10, seed=1)
    torch.testing.assert_close(low_frequencies_of(a, b, cutoff=2.0), a)
    torch.testing.assert_close(low_frequencies_of(a, a, cutoff=0.3), a)
    mean_only = low_frequencies_of(a, b, cutoff=0.0)
    torch.testing.assert_close(
        mean_only - b, (a - b).mean((-3, -2, -1), keepdim=True).expand_as(b), atol=1e-5, rtol=0
    )
    assert low_frequencies_of(a.half(), b.half()).dtype == torch.float16


def test_mixing_frequencies_keeps_the_power():
    a, b = _normal(4, 16, 32, 32), _normal(4, 16, 32, 32, seed=1)
    assert abs(low_frequencies_of(a, b, cutoff=0.4).std() - 1) < 0.01


class _KnowsTheNoise:
    """A denoiser that is always right about one clip and one noise, unless it is in training."""

    def __init__(self, noise: Tensor) -> None:
        self.noise, self.asked = noise, []
        self.model = torch.nn.Dropout().train()

    def predict(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        self.asked.append(int(timesteps[0]))
        return self.model(self.noise)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_ddim_inversion_finds_the_noise_of_a_perfect_denoiser(spacing: str):
    from diffusers import DDIMScheduler

    clean, noise = 3 * _normal(1, 4, 5, 6, 7), _normal(1, 4, 5, 6, 7, seed=1)
    sampler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_end=0.012, beta_start=0.00085, timestep_spacing=spacing
    )
    denoiser: Any = _KnowsTheNoise(noise)
    inverted = ddim_inversion(denoiser, clean, sampler, num_steps=20)
    assert len(denoiser.asked) == 20
    assert denoiser.model.training
    assert denoiser.asked == sorted(denoiser.asked)
    share = sampler.alphas_cumprod[denoiser.asked[-1]]
    expected = share**0.5 * clean + (1 - share) ** 0.5 * noise
    torch.testing.assert_close(inverted, expected, atol=1e-3, rtol=1e-3)


def test_starting_noise_by_name():
    a, b = _normal(4, 5, 6, 7), _normal(4, 5, 6, 7, seed=1)
    assert starting_noise("none", b, None) is b
    assert torch.equal(starting_noise("blend", b, a, share=0.2), blended(a, b, share=0.2))
    assert torch.equal(
        starting_noise("frequency", b, a, cutoff=0.2), low_frequencies_of(a, b, cutoff=0.2)
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "pink"}, "noise is 'pink'; expected one of none, blend, frequency"),
        ({"kind": "blend", "inverted": None}, "kept without inverted latents"),
        ({"kind": "blend", "inverted": torch.zeros(4, 3, 6, 7)}, r"\(4, 3, 6, 7\), those of this"),
        ({"kind": "blend", "share": 1.5}, "the share of inverted noise is 1.5"),
        ({"kind": "frequency", "cutoff": -1}, "the cutoff is -1"),
    ],
)
def test_noise_that_cannot_be_made_is_refused(arguments: dict[str, Any], sentence: str):
    given = {"inverted": _normal(4, 5, 6, 7)} | arguments
    with pytest.raises(InputError, match=sentence):
        starting_noise(given.pop("kind"), _normal(4, 5, 6, 7), given.pop("inverted"), **given)


def test_no_inversion_steps_are_refused():
    from diffusers import DDIMScheduler

    with pytest.raises(InputError, match="the number of inversion steps is 0"):
        ddim_inversion(None, _normal(1, 4, 5, 6, 7), DDIMScheduler(), num_steps=0)  # type: ignore[arg-type]
