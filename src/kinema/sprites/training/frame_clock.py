"""The frame clock: temporal convolutions learn to write which frame is which.

The temporal attention of a `UNet3DConditionModel` has no positional embedding. Only the zeros
beyond both ends of a clip tell its frames apart, and a temporal convolution layer carries that
knowledge four frames inwards. Learned from videos alone this takes long: what to do at a moment
cannot be learned before the moment is known, and knowing it earns nothing before. So it is learned
first, by itself: each layer is to add the same waves over the clip to its input, whatever that is.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers.models.resnet import TemporalConvLayer
from torch import Tensor, nn

from kinema.sprites.models import NUM_FRAMES

_SEED = 0
_NUM_WAVES = 4
_REACH = 4
"""Frames that one layer sees to each side: four convolutions, three frames wide."""

_SIZE = 0.7 / 64
"""Of the waves, as a share of the layer's width: about a quarter of what features measure there."""


class FrameClock:
    """What the temporal convolution layers of a video U-Net are to add to their inputs."""

    def __init__(self, unet: nn.Module) -> None:
        self.unet = unet
        self.layers = {
            name: layer
            for name, layer in unet.named_modules()
            if isinstance(layer, TemporalConvLayer)
        }
        generator = torch.Generator().manual_seed(_SEED)
        device = next(unet.parameters()).device
        self.targets = {
            # The first layer cannot see the middle of the clip, so it writes how near the ends are.
            name: _spread(
                _ramps() if index == 0 else _waves(), layer.conv4[-1].out_channels, generator
            ).to(device)
            for index, (name, layer) in enumerate(self.layers.items())
        }

    def loss(self, noisy: Tensor, timesteps: Tensor, text: Tensor) -> Tensor:
        """Return how far every layer is from its target, as a share of the target, summed.

        A layer's input is taken as it is, so that each layer learns by itself.

        Args:
            noisy: (B, C, T, h, w).
            timesteps: (B,).
            text: (B, N, D).
        """
        with torch.no_grad(), self._listening() as inputs:
            self.unet(noisy, timesteps, encoder_hidden_states=text)
        # Autocast keeps the weights it has cast; those cast just now would take no gradient.
        torch.clear_autocast_cache()
        return torch.stack(
            [
                self._error(name, layer, inputs[name], noisy.shape[2])
                for name, layer in self.layers.items()
            ]
        ).sum()

    def _error(self, name: str, layer: nn.Module, frames: Tensor, num_frames: int) -> Tensor:
        added = layer(frames, num_frames=num_frames) - frames
        target = self.targets[name]
        error = added.unflatten(0, (-1, num_frames)).float() - target[None, :, :, None, None]
        return error.square().mean() / target.square().mean()

    @contextmanager
    def _listening(self) -> Iterator[dict[str, Tensor]]:
        inputs: dict[str, Tensor] = {}

        def listen(name: str) -> torch.utils.hooks.RemovableHandle:
            def hook(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
                inputs[name] = arguments[0].detach()

            return self.layers[name].register_forward_pre_hook(hook)

        handles = [listen(name) for name in self.layers]
        try:
            yield inputs
        finally:
            for handle in handles:
                handle.remove()


def _waves() -> Tensor:
    """Return cosines over the clip, half a turn and more, (T, 4), of unit mean square."""
    moment = (torch.arange(NUM_FRAMES) + 0.5) / NUM_FRAMES
    turns = torch.arange(1, _NUM_WAVES + 1)
    return 2**0.5 * torch.cos(math.pi * moment[:, None] * turns)


def _ramps() -> Tensor:
    """Return the nearness of the first and of the last frame, (T, 2), of unit mean square."""
    near = (1 - torch.arange(NUM_FRAMES) / _REACH).clamp(min=0)
    both = torch.stack((near, near.flip(0)), dim=1)
    both = both - both.mean(dim=0)
    return both / both.square().mean(dim=0).sqrt()


def _spread(waves: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Spread waves (T, K) over `width` channels: (T, width)."""
    directions = torch.linalg.qr(torch.randn(width, waves.shape[1], generator=generator)).Q
    size = _SIZE * width
    return size * (width / waves.shape[1]) ** 0.5 * waves @ directions.T
