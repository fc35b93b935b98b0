import pytest
import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion.learner import draw_timesteps
from kinema.motion_inversion.objective import (
    denoising_loss,
    latent_weight,
    training_scheduler,
    training_target,
)

SHAPE = (2, 3, 5, 4, 6)


def _pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(2))


def test_plain_is_the_mean_squared_error():
    prediction, target = _pair()
    expected = torch.nn.functional.mse_loss(prediction, target)
    torch.testing.assert_close(denoising_loss(prediction, target), expected)


def test_debiased_is_the_formula_of_motion_director():
    prediction, target = _pair()
    beta, anchor = 1.0, 3

    def phi(x: Tensor) -> Tensor:
        out = torch.empty_like(x)
        for frame in range(x.shape[2]):
            out[:, :, frame] = (beta**2 + 1) ** 0.5 * x[:, :, frame] - beta * x[:, :, anchor]
        return out

    mse = torch.nn.functional.mse_loss
    torch.testing.assert_close(
        denoising_loss(prediction, target, objective="debiased", anchor=anchor),
        mse(prediction, target) + mse(phi(prediction), phi(target)),
    )


def test_residual_sees_changes_alone():
    prediction, target = _pair()
    expected = torch.nn.functional.mse_loss(prediction.diff(dim=2), target.diff(dim=2))
    found = denoising_loss(prediction, target, objective="residual")
    torch.testing.assert_close(found, expected)
    still = torch.randn(2, 3, 1, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(
        denoising_loss(prediction + still, target, objective="residual"), expected
    )


@pytest.mark.parametrize("objective", ["plain", "debiased", "residual"])
def test_a_weight_counts_where_it_is_and_its_scale_does_not(objective: str):
    prediction, target = _pair()
    even = denoising_loss(prediction, target, objective=objective)
    for weight in (torch.ones(5, 4, 6), torch.full((2, 5, 4, 6), 0.3)):
        found = denoising_loss(prediction, target, objective=objective, weight=weight)
        torch.testing.assert_close(found, even)
    corner = torch.zeros(5, 4, 6)
    corner[:, 1, 2] = 1
    there = (..., slice(1, 2), slice(2, 3))
    torch.testing.assert_close(
        denoising_loss(prediction, target, objective=objective, weight=corner),
        denoising_loss(prediction[there], target[there], objective=objective),
    )


def test_half_precision_is_summed_in_float32():
    loss = denoising_loss(torch.full(SHAPE, 300.0).half(), torch.zeros(SHAPE).half())
    assert loss.dtype == torch.float32
    assert loss == 90_000  # beyond what float16 holds


def test_latent_weight_pools_and_repeats_the_first_frame():
    attention = torch.zeros(4, 8, 12)
    attention[0, :2, :2] = 1
    weight = latent_weight(attention, num_frames=5, latent_size=(4, 6), floor=0.25)
    assert weight.shape == (5, 4, 6)
    assert weight[0, 0, 0] == weight[1, 0, 0] == 1
    assert torch.equal(weight[2:], torch.full((3, 4, 6), 0.25))
    assert (weight[:2] == 0.25).sum() == 2 * 23
    assert latent_weight(torch.rand(5, 8, 12), num_frames=5, latent_size=(2, 3)).shape == (5, 2, 3)


def test_attention_is_a_share_or_a_mask():
    mask = torch.zeros(4, 8, 12, dtype=torch.bool)
    mask[:, 2:6] = True
    wanted = {"num_frames": 4, "latent_size": (4, 6)}
    expected = latent_weight(mask.float(), **wanted)
    for same in (mask, mask.to(torch.uint8)):
        assert torch.equal(latent_weight(same, **wanted), expected)
    for attention, sentence in (
        (-torch.ones(4, 8, 12), "from -1 to -1"),
        (255 * mask.to(torch.uint8), "from 0 to 255"),
        (torch.full((4, 8, 12), float("nan")), "from nan to nan"),
    ):
        with pytest.raises(InputError, match=sentence):
            latent_weight(attention, **wanted)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_the_target_is_what_undoes_the_noise(prediction_type: str):
    from diffusers import DDIMScheduler

    sampler = DDIMScheduler(prediction_type=prediction_type, beta_schedule="squaredcos_cap_v2")
    scheduler = training_scheduler(sampler)
    clean, noise = _pair()
    timesteps = torch.tensor([200, 700])
    target = training_target(scheduler, clean, noise, timesteps)
    noisy = scheduler.add_noise(clean, noise, timesteps)
    # One step of the sampler's own arithmetic from the right answer must find the clean latents.
    sampler.set_timesteps(1000)
    for row, timestep in enumerate(timesteps):
        step = sampler.step(target[row], timestep, noisy[row])
        limited = clean[row].clamp(-1, 1)  # DDIM clips by default
        torch.testing.assert_close(step.pred_original_sample, limited, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "other", ["DPMSolverMultistepScheduler", "EulerDiscreteScheduler", "PNDMScheduler"]
)
def test_other_samplers_of_the_same_schedule_train_alike(other: str):
    import diffusers

    config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    expected = training_scheduler(diffusers.DDIMScheduler(**config))
    found = training_scheduler(getattr(diffusers, other)(**config))
    assert torch.equal(found.alphas_cumprod, expected.alphas_cumprod)
    assert found.config.prediction_type == "epsilon"


def test_flow_matching_is_refused():
    from diffusers import FlowMatchEulerDiscreteScheduler

    with pytest.raises(
        InputError, match="FlowMatchEulerDiscreteScheduler as set up here has no table"
    ):
        training_scheduler(FlowMatchEulerDiscreteScheduler())


def test_noise_levels_follow_their_density():
    generator = torch.Generator().manual_seed(0)
    even = draw_timesteps(20_000, 1000, generator=generator)
    assert even.min() == 0
    assert even.max() == 999
    assert abs(even.double().mean() - 499.5) < 8
    high = draw_timesteps(20_000, 1000, power=2.0, generator=generator)
    # Density 3 s^2 on [0, 1] has the mean 3/4.
    assert abs(high.double().mean() - 749.5) < 6
    part = draw_timesteps(20_000, 1000, levels=(0.5, 0.8), power=1.0, generator=generator)
    assert part.min() >= 500
    assert part.max() < 800
    expected = 2 / 3 * (0.8**3 - 0.5**3) / (0.8**2 - 0.5**2)
    assert abs(part.double().mean() / 1000 - expected) < 0.003


def test_what_cannot_be_minimised_is_refused():
    prediction, target = _pair()
    with pytest.raises(InputError, match=r"objective is 'best'; expected one of plain, debiased"):
        denoising_loss(prediction, target, objective="best")
    with pytest.raises(InputError, match=r"weight has shape \(5, 4\)"):
        denoising_loss(prediction, target, weight=torch.ones(5, 4))
    with pytest.raises(InputError, match="with 5 or 4 frames"):
        latent_weight(torch.rand(3, 8, 8), num_frames=5, latent_size=(4, 4))
