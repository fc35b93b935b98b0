"""Convolutions that torch computes slowly on a CPU, by equal ones that it computes quickly.

A third of a step of the small SlowFast went into the first convolution of its fast pathway, a fifth
of the small X3D's into one temporal convolution by channel, and a quarter of the small
TimeSformer's into the gradient of its patch embedding: torch 2.13, one thread.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def quicken(model: nn.Module) -> None:
    """Let slow convolutions of a model take another way to the same numbers, up to rounding."""
    convolutions = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Conv3d)]
    beside = any(each.groups > 1 for each in convolutions)
    for each in convolutions:
        if beside and isinstance(each, nn.Conv3d):
            each.to(memory_format=torch.channels_last_3d)
        quicker = _quicker_way(each, beside=beside)
        if quicker is not None:
            each.forward = partial(quicker, each)  # type: ignore[method-assign]


def _quicker_way(
    convolution: nn.Conv2d | nn.Conv3d, *, beside: bool
) -> Callable[[Any, Tensor], Tensor] | None:
    """Which one, if any; `beside`: whether the channels of a place lie beside each other."""
    kernel, is_full = convolution.kernel_size, convolution.groups == 1
    if isinstance(convolution, nn.Conv2d):
        are_patches = kernel == convolution.stride and convolution.padding == (0, 0)
        return _of_patches if is_full and are_patches else None
    if is_full and kernel[0] > 1 and kernel[1:] != (1, 1):
        return _of_frames
    if not is_full and kernel[1:] == (1, 1):
        return _over_time
    return _of_channels if beside and kernel == (1, 1, 1) else None


def _of_patches(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    """Patches that do not overlap are rows of a matrix."""
    high, wide = convolution.kernel_size
    patches = images.unflatten(3, (-1, wide)).unflatten(2, (-1, high))
    rows = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)  # (B, H / high, W / wide, C * high * wide)
    return F.linear(rows, convolution.weight.flatten(1), convolution.bias).permute(0, 3, 1, 2)


def _of_frames(convolution: nn.Conv3d, clip: Tensor) -> Tensor:
    """Each frame by every moment of the kernel, then the sum of the moments where they belong."""
    num_moments, reach = convolution.kernel_size[0], convolution.padding[0]
    assert convolution.stride[0] == 1
    assert num_moments == 2 * reach + 1
    by_moment = convolution.weight.movedim(2, 0).flatten(0, 1)  # (moments * channels, C, H, W)
    images = F.conv2d(
        clip.transpose(1, 2).flatten(0, 1),
        by_moment,
        stride=convolution.stride[1:],
        padding=convolution.padding[1:],
    )
    moments = images.unflatten(0, (len(clip), -1)).unflatten(2, (num_moments, -1)).unbind(2)
    in_place = [
        F.pad(moment, (0, 0, 0, 0, 0, 0, reach - at, at - reach))
        for at, moment in enumerate(moments)
    ]
    shown = torch.stack(in_place).sum(dim=0).transpose(1, 2)
    return shown if convolution.bias is None else shown + convolution.bias.view(-1, 1, 1, 1)


def _of_channels(convolution: nn.Conv3d, clip: Tensor) -> Tensor:
    """A place's channels are a row of a matrix, and lie beside each other before and after."""
    across = tuple(slice(None, None, stride) for stride in convolution.stride)
    rows = clip[:, :, *across].permute(0, 2, 3, 4, 1)
    shown = F.linear(rows, convolution.weight.flatten(1), convolution.bias)
    return shown.permute(0, 4, 1, 2, 3)


def _over_time(convolution: nn.Conv3d, clip: Tensor) -> Tensor:
    """Over time alone a clip is an image: of time and of all its pixels in a row."""
    assert convolution.stride == convolution.dilation == (1, 1, 1)
    weight, padding = convolution.weight.flatten(3), (convolution.padding[0], 0)
    images = clip.contiguous().flatten(3)
    shown = F.conv2d(images, weight, convolution.bias, padding=padding, groups=convolution.groups)
    return shown.unflatten(3, clip.shape[3:])
