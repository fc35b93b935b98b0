"""Convolutions that torch computes slowly on a CPU, by equal ones that it computes quickly.

A fifth of a step of the small X3D went into one temporal convolution by channel, and a quarter of
the small TimeSformer's into the gradient of its patch embedding: torch 2.13, one thread.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def quicken(model: nn.Module) -> None:
    """Let slow convolutions of a model take another way to the same numbers, up to rounding."""
    convolutions = [each for each in model.modules() if isinstance(each, nn.Conv2d | nn.Conv3d)]
    by_channel = [each for each in convolutions if each.groups > 1]
    for each in convolutions:
        if isinstance(each, nn.Conv2d):
            if each.kernel_size == each.stride and each.padding == (0, 0) and each.groups == 1:
                each.forward = partial(_of_patches, each)  # type: ignore[method-assign]
        elif by_channel:
            each.to(memory_format=torch.channels_last_3d)
    for each in by_channel:
        if isinstance(each, nn.Conv3d) and each.kernel_size[1:] == (1, 1):
            assert each.stride == each.dilation == (1, 1, 1)
            each.forward = partial(_over_time, each)  # type: ignore[method-assign]


def _of_patches(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    """Patches that do not overlap are rows of a matrix."""
    high, wide = convolution.kernel_size
    patches = images.unflatten(3, (-1, wide)).unflatten(2, (-1, high))
    rows = patches.permute(0, 2, 4, 1, 3, 5).flatten(3)  # (B, H / high, W / wide, C * high * wide)
    return F.linear(rows, convolution.weight.flatten(1), convolution.bias).permute(0, 3, 1, 2)


def _over_time(convolution: nn.Conv3d, clip: Tensor) -> Tensor:
    """Over time alone a clip is an image: of time and of all its pixels in a row."""
    weight, padding = convolution.weight.flatten(3), (convolution.padding[0], 0)
    images = clip.contiguous().flatten(3)
    shown = F.conv2d(images, weight, convolution.bias, padding=padding, groups=convolution.groups)
    return shown.unflatten(3, clip.shape[3:])
