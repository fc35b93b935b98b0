"""The embedded models before any training."""

import pytest
import torch
from diffusers import UNetMotionModel

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


@torch.no_grad()
def test_a_new_motion_adapter_changes_nothing(image_unet, inputs) -> None:
    latents, timesteps, text = inputs
    unet = UNetMotionModel.from_unet2d(image_unet, models.new_motion_adapter()).eval()
    output = unet(latents, timesteps, encoder_hidden_states=text.repeat_interleave(5, 0)).sample
    expected = frame_by_frame(image_unet, latents, timesteps, text)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


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
