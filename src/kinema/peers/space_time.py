"""Space-time features, and how alike two videos change in them (arXiv 2311.17009).

The features are what some layers of a denoiser's decoder give, averaged over the frame. Averages
over a grid of parts, which are not in the paper, leave where things are in the frame.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.motion_inversion.denoising import Denoiser
from kinema.motion_inversion.sites import plain_model

_BLOCK, _LAYER = 1, 1
# AnimateDiff has no temporal convolutions; what stands in their place there is attention.
_TEMPORAL = {"UNet3DConditionModel": "temp_convs", "UNetMotionModel": "motion_modules"}


class _AllRead(Exception):  # noqa: N818  (no error: it ends a call early)
    """Every feature is read, and the rest of the model would be computed for nothing."""


def feature_modules(unet: nn.Module) -> list[nn.Module]:
    """The layers that are read: convolution before the residual, temporal layer, upsampler.

    All are of the second layer of the second decoder block, which has an upsampler unless it is
    the last.

    Raises:
        InputError: a model without that block or layer.
    """
    blocks: Any = unet.get_submodule("up_blocks")
    if len(blocks) <= _BLOCK or len(blocks[_BLOCK].resnets) <= _LAYER:
        raise InputError(
            f"dmt reads layer {_LAYER} of up_blocks.{_BLOCK}, which this {type(unet).__name__} "
            "does not have; use another method or a larger model"
        )
    block = blocks[_BLOCK]
    temporal = getattr(block, _TEMPORAL[type(unet).__name__])
    upsamplers = [] if block.upsamplers is None else [block.upsamplers[0]]
    return [block.resnets[_LAYER].conv2, temporal[_LAYER], *upsamplers]


def space_time_features(
    denoiser: Denoiser, latents: Tensor, timestep: int, *, grid: int = 1
) -> list[Tensor]:
    """Read the features of one noisy video.

    Args:
        denoiser: told the video's prompt.
        latents: `(1, C, T, h, w)`.
        timestep: its noise level.
        grid: parts of a side of the frame, over each of which the mean is taken.

    Returns:
        For each of `feature_modules`, `(T, channels x grid x grid)` float32: its output's means.

    Raises:
        InputError: a grid finer than the features.
    """
    unet = plain_model(denoiser.model)
    read: list[Tensor] = []

    def means(module: nn.Module, args: Any, output: Tensor) -> None:
        height, width = output.shape[-2:]
        if grid > min(height, width):
            raise InputError(
                f"grid is {grid} and the features are of {height}x{width} places; give "
                f"{min(height, width)} or less"
            )
        read.append(F.adaptive_avg_pool2d(output.float(), grid).flatten(1))

    hooks = [module.register_forward_hook(means) for module in feature_modules(unet)]

    def leave(*_: object) -> None:
        raise _AllRead

    hooks.append(unet.get_submodule(f"up_blocks.{_BLOCK}").register_forward_hook(leave))
    # Hooks put on a compiled model are not seen, so that it is called uncompiled.
    plain = replace(denoiser, model=unet)
    compiled, unet._compiled_call_impl = unet._compiled_call_impl, None
    try:
        plain.predict(latents, torch.tensor([timestep], device=latents.device))
    except _AllRead:
        pass
    finally:
        unet._compiled_call_impl = compiled
        for hook in hooks:
            hook.remove()
    return read


def difference_loss(features: Tensor, source: Tensor) -> Tensor:
    """One minus the cosine between differences of frames of one video and of another.

    The mean over all pairs of frames, as published a frame with itself included, whose difference
    is zero and whose cosine counts as 0: T frames give from 1/T to 2 - 1/T.

    Args:
        features: `(T, channels)`.
        source: the same shape, of the clip.
    """
    ours, theirs = (each[None] - each[:, None] for each in (features, source))
    return (1 - F.cosine_similarity(ours, theirs, dim=-1)).mean()


@torch.enable_grad()
def steered(
    latents: Tensor,
    denoiser: Denoiser,
    source: list[Tensor],
    *,
    timestep: int,
    num_steps: int,
    learning_rate: float,
    grid: int = 1,
) -> Tensor:
    """Move noisy latents until their features differ between frames as the source's do.

    Args:
        latents: `(1, C, T, h, w)`.
        denoiser: told what to show; its model is frozen.
        source: `space_time_features` of the clip at this level.
        timestep: the level.
        num_steps: of Adam.
        learning_rate: of Adam.
        grid: which the source's features are of.
    """
    moved = latents.detach().clone().requires_grad_(True)
    optimizer = torch.optim.Adam([moved], lr=learning_rate)
    half = denoiser.text.dtype == torch.float16
    scaler = torch.amp.GradScaler(latents.device.type, enabled=half)
    for _ in range(num_steps):
        optimizer.zero_grad()
        features = space_time_features(denoiser, moved, timestep, grid=grid)
        losses = [difference_loss(*pair) for pair in zip(features, source, strict=True)]
        scaler.scale(torch.stack(losses).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    return moved.detach()
