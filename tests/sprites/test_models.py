"""The embedded models before any training."""

import pytest
import torch

from kinema.sprites import models


@pytest.fixture(scope="module")
def image_unet() -> torch.nn.Module:
    torch.manual_seed(0)
    return models.new_image_unet().eval()


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 6, 5, 8, 8, generator=generator)
    text = torch.randn(2, 20, models.TEXT_WIDTH, generator=generator)
    return latents, torch.tensor([5, 700]), text


@torch.no_grad()
def frame_by_frame(unet, latents, timesteps, text):
    frames = [
        unet(frame, timesteps, encoder_hidden_states=text).sample for frame in latents.unbind(2)
    ]
    return torch.stack(frames, dim=2)


@torch.no_grad()
def test_an_inflated_video_unet_treats_each_frame_as_the_image_unet_does(
    image_unet, inputs
) -> None:
    latents, timesteps, text = inputs
    video_unet = models.inflate(image_unet).eval()
    output = video_unet(latents, timesteps, encoder_hidden_states=text).sample
    expected = frame_by_frame(image_unet, latents, timesteps, text)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


def test_every_temporal_layer_of_an_inflated_unet_learns(image_unet, inputs) -> None:
    # A layer that is born ending in zeros gets a gradient behind them after the first step; one
    # with zeros in two places would never get any.
    latents, timesteps, text = inputs
    unet = models.inflate(image_unet).eval()
    temporal = {name: p for name, p in unet.named_parameters() if models.is_temporal(name)}
    before = {name: p.detach().clone() for name, p in temporal.items()}
    optimizer = torch.optim.SGD(temporal.values(), lr=1.0)
    for _ in range(3):
        optimizer.zero_grad()
        output = unet(latents, timesteps, encoder_hidden_states=text).sample
        (output - latents.flip(2)).square().mean().backward()
        optimizer.step()
    # A bias before a normalisation of its own channel group, or of keys, may well stay.
    still = [name for name, p in temporal.items() if p.ndim > 1 and torch.equal(p, before[name])]
    assert not still


@torch.no_grad()
def test_a_new_motion_adapter_adds_the_number_of_a_frame_and_nothing_else(image_unet) -> None:
    adapter = models.new_motion_adapter()
    generator = torch.Generator().manual_seed(0)
    module = adapter.down_blocks[0].motion_modules[0]
    one, other = torch.randn(2, 16, 64, 8, 8, generator=generator)
    added = [module(frames, num_frames=16) - frames for frames in (one, other)]
    torch.testing.assert_close(added[0], added[1], atol=1e-4, rtol=0)
    clock = added[0].mean(dim=(2, 3))
    torch.testing.assert_close(added[0], clock[:, :, None, None].expand_as(added[0]))
    apart = torch.cdist(clock, clock) + 100 * torch.eye(16)
    assert apart.min() > 0.2 * clock.std() * 64**0.5
    nearest = apart.argmin(dim=1)
    assert ((nearest - torch.arange(16)).abs() == 1).all()


def test_the_parts_of_a_new_motion_adapter_that_carry_no_clock_are_silent() -> None:
    adapter = models.new_motion_adapter()
    module = adapter.mid_block.motion_modules[0]
    assert module.proj_out.weight[:, :32].abs().sum() > 0
    assert not module.proj_out.weight[:, 32:].any()
    assert not module.proj_out.bias.any()


def test_inflating_another_unet_is_refused(image_unet) -> None:
    from diffusers import UNet2DConditionModel

    config = {**image_unet.config, "layers_per_block": 2}
    with pytest.raises(ValueError, match="spatial layers"):
        models.inflate(UNet2DConditionModel.from_config(config))


def test_the_schedule_ends_in_noise_alone() -> None:
    assert models.new_scheduler().alphas_cumprod[-1] < 1e-5


@torch.no_grad()
def test_the_autoencoder_begins_nearly_deterministic() -> None:
    autoencoder = models.new_autoencoder()
    posterior = autoencoder.encode(torch.rand(2, 3, 64, 64)).latent_dist
    assert posterior.mean.shape == (2, models.LATENT_CHANNELS, 8, 8)
    torch.testing.assert_close(
        posterior.std, torch.full_like(posterior.std, 0.0498), atol=1e-3, rtol=0
    )


def test_the_models_fit_in_the_size_allowed() -> None:
    image_unet = models.new_image_unet()
    parts = (
        models.new_autoencoder(),
        models.new_text_encoder(),
        image_unet,
        models.inflate(image_unet),
        models.new_motion_adapter(),
    )
    numbers = sum(p.numel() for part in parts for p in part.parameters())
    assert 2 * numbers <= 32 * 2**20
