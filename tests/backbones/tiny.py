"""Small backbones with random weights, and the four of the zoo."""

import math

import torch
from torch import Tensor, nn

from kinema.backbones import X3D, SlowFast, backbone, slowfast_r50, x3d_m, x3d_s, x3d_xs

ZOO = {"slowfast_r50": slowfast_r50, "x3d_xs": x3d_xs, "x3d_s": x3d_s, "x3d_m": x3d_m}
TINY = {
    "slowfast": lambda **sizes: SlowFast(
        **{"num_classes": 5, "width": 8, "depths": (1, 2, 1, 1), "num_frames": 8} | sizes
    ),
    "x3d": lambda **sizes: X3D(
        **{"num_classes": 5, "width": 8, "depths": (1, 2, 1, 1), "num_frames": 4, "head_width": 32}
        | sizes
    ),
}
TRANSFORMERS = {
    "timesformer": {},
    "videomae": {},
    "vivit": {},
    "vjepa2": {
        "width": 48,
        "num_pooler_layers": 1,
        "pred_hidden_size": 24,
        "pred_num_attention_heads": 2,
        "pred_num_hidden_layers": 1,
        "pred_num_mask_tokens": 2,
    },
}
"""The smallest sizes of each of transformers' families."""


def tiny_transformer(name: str, *, seed: int = 0, **sizes: object) -> nn.Module:
    """One whose logits differ from clip to clip by more than rounding, in eval mode."""
    torch.manual_seed(seed)
    small = {"num_classes": 5, "num_frames": 4, "size": 16, "patch_size": 8}
    small |= {"width": 16, "depth": 2, "num_heads": 2}
    model = backbone(name, **small | TRANSFORMERS[name] | sizes)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model.eval()


def tiny(name: str, *, seed: int = 0, **sizes: object) -> nn.Module:
    torch.manual_seed(seed)
    return randomise(TINY[name](**sizes), seed=seed)


def clip_for(model: nn.Module, *, batch: int = 2, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 3, model.num_frames, size, size, generator=generator)


def randomise(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Every tensor noise, norms and their statistics too, and the outputs of usual size."""
    for module in model.modules():
        own: dict[str, Tensor] = dict(module.named_parameters(recurse=False))
        own |= dict(module.named_buffers(recurse=False))
        for name, tensor in own.items():
            if not tensor.is_floating_point():
                continue
            seed += 1
            values = noise(tensor.shape, seed=seed)
            if isinstance(module, nn.BatchNorm3d) and name in ("weight", "running_var"):
                values = 0.5 + 0.1 * values.abs()
            elif tensor.ndim > 1:
                values = values / tensor[0].numel() ** 0.5
            else:
                values = 0.1 * values
            tensor.data.copy_(values)
    return model


def noise(shape: tuple[int, ...], *, seed: int) -> Tensor:
    """Numbers of mean 0 and variance 1 that depend on no generator: the same everywhere."""
    index = torch.arange(math.prod(shape), dtype=torch.float64)
    uniform = ((index * 12.9898 + seed * 78.233).sin() * 43758.5453).frac().abs()
    return ((uniform - 0.5) * 12**0.5).reshape(shape)
