"""A help for video U-Nets without positional embeddings: their layers learn to tell the time."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_NUM_WAVES = 4


class Clock(nn.Module):
    """Readings of the frame's number from what temporal convolutions give out.

    A `UNet3DConditionModel` has no positional embedding across frames: that a frame is the third,
    its convolutions can only work out from the zeros beyond the first frame and the last. A motion
    by words cannot be learned before that is. A linear reading after each temporal convolution, of
    the mean over space, is to give the first cosines over the clip; its error is a loss beside the
    denoising loss, and the readings themselves are not kept.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        widths = [module.conv4[-1].out_channels for module in _temporal_convolutions(unet)]
        self.readings = nn.ModuleList(nn.Linear(width, _NUM_WAVES) for width in widths)

    @contextmanager
    def listening(self, unet: nn.Module) -> Iterator[dict[int, Tensor]]:
        """Give a dictionary that fills with what temporal convolutions give out.

        Each output is `(B * T, C, H, W)`, by its place among the model's modules, which is not the
        order in which they are called.
        """
        heard: dict[int, Tensor] = {}

        def hear(place: int) -> Callable[[nn.Module, object, Tensor], None]:
            return lambda module, inputs, output: heard.update({place: output})

        handles = [
            module.register_forward_hook(hear(place))
            for place, module in enumerate(_temporal_convolutions(unet))
        ]
        try:
            yield heard
        finally:
            for handle in handles:
                handle.remove()

    def error(self, heard: dict[int, Tensor], num_frames: int) -> Tensor:
        """Return the mean squared error of all readings, a scalar; 0.5 for readings of nothing."""
        moment = (torch.arange(num_frames) + 0.5) / num_frames
        waves = torch.stack([torch.cos(math.pi * k * moment) for k in range(1, _NUM_WAVES + 1)], 1)
        errors = []
        for place, reading in enumerate(self.readings):
            told = reading(heard[place].mean(dim=(2, 3))).unflatten(0, (-1, num_frames)).float()
            errors.append(F.mse_loss(told, waves.to(told).expand_as(told)))
        return torch.stack(errors).mean()


def _temporal_convolutions(unet: nn.Module) -> list[Any]:
    from diffusers.models.resnet import TemporalConvLayer

    return [module for module in unet.modules() if isinstance(module, TemporalConvLayer)]
