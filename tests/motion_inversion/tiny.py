"""A tiny model with random weights of every supported class, and how to call it.

Heights and widths differ everywhere, so that no test passes with the two exchanged.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

LATENT_SIZE = (8, 12)


@dataclass(frozen=True)
class Tiny:
    """A class of models, how to build it and what it is called with.

    frames_dim: axis of frames in the denoiser's input and output.
    """

    kind: str
    build: Callable[[], nn.Module]
    arguments: Callable[[int, int, tuple[int, int]], dict[str, Tensor]]
    channels: int
    out_channels: int
    frames_dim: int = 2
    num_frames: int = 5
    other_num_frames: int | None = 8
    """Another length the model takes; None where its length is fixed."""

    def model(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        torch.manual_seed(0)
        model = self.build()
        with torch.no_grad():
            for parameter in model.parameters():
                # Layers that begin at zero would hide the motion from the output.
                parameter += torch.randn_like(parameter) * 0.1
        return model.eval().to(dtype)

    def inputs(
        self,
        dtype: torch.dtype = torch.float64,
        *,
        batch_size: int = 2,
        num_frames: int | None = None,
        latent_size: tuple[int, int] = LATENT_SIZE,
        timestep: int = 300,
    ) -> dict[str, Any]:
        num_frames = num_frames or self.num_frames
        generator = torch.Generator().manual_seed(1)
        size = (batch_size, self.channels, num_frames, *latent_size)
        video = torch.randn(size, generator=generator, dtype=torch.float64)
        if self.frames_dim == 1:
            video = video.transpose(1, 2)
        name = "hidden_states" if self.kind.startswith("Latte") else "sample"
        steps = torch.tensor(timestep)
        call = {name: video, "timestep": steps if name == "sample" else steps.expand(batch_size)}
        call |= self.arguments(batch_size, num_frames, latent_size)
        return {
            key: value.to(dtype) if value.is_floating_point() else value
            for key, value in call.items()
        }


def _text(rows: int, width: int, tokens: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(rows, tokens, width, generator=generator, dtype=torch.float64)


def _unet3d() -> nn.Module:
    from diffusers import UNet3DConditionModel

    return UNet3DConditionModel(
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def unet_motion(**others: Any) -> nn.Module:
    """AnimateDiff's model; `others` are settings in place of those here."""
    from diffusers import UNetMotionModel

    settings: dict[str, Any] = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "sample_size": 8,
        "down_block_types": ("CrossAttnDownBlockMotion", "DownBlockMotion"),
        "up_block_types": ("UpBlockMotion", "CrossAttnUpBlockMotion"),
        "cross_attention_dim": 8,
        "num_attention_heads": 2,
        "motion_num_attention_heads": 2,
        "motion_max_seq_length": 16,
        "norm_num_groups": 4,
    }
    return UNetMotionModel(**{**settings, **others})


def _i2vgen() -> nn.Module:
    from diffusers import I2VGenXLUNet

    return I2VGenXLUNet(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=2,
    )


def _svd() -> nn.Module:
    from diffusers import UNetSpatioTemporalConditionModel

    return UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=8,
        num_attention_heads=4,
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
        num_frames=5,
    )


def _latte() -> nn.Module:
    from diffusers import LatteTransformer3DModel

    return LatteTransformer3DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_channels=8,
        in_channels=4,
        cross_attention_dim=16,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_single",
        norm_elementwise_affine=False,
        norm_eps=1e-6,
        video_length=5,
    )


def _image_latents(batch_size: int, num_frames: int, size: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch_size, 4, num_frames, *size, generator=generator, dtype=torch.float64)


TINY = (
    Tiny(
        "UNet3DConditionModel",
        _unet3d,
        lambda b, n, size: {"encoder_hidden_states": _text(b, 8)},
        4,
        4,
    ),
    Tiny(
        "UNetMotionModel",
        unet_motion,
        lambda b, n, size: {"encoder_hidden_states": _text(b, 8).repeat_interleave(n, 0)},
        4,
        4,
    ),
    Tiny(
        "I2VGenXLUNet",
        _i2vgen,
        lambda b, n, size: {
            "encoder_hidden_states": _text(b, 8),
            "fps": torch.tensor([8]).expand(b),
            "image_latents": _image_latents(b, n, size),
            "image_embeddings": _text(b, 8, tokens=1),
        },
        4,
        4,
    ),
    Tiny(
        "UNetSpatioTemporalConditionModel",
        _svd,
        lambda b, n, size: {
            "encoder_hidden_states": _text(b, 8, tokens=1),
            "added_time_ids": torch.tensor([[6.0, 127.0, 0.02]]).expand(b, -1),
        },
        8,
        4,
        frames_dim=1,
    ),
    Tiny(
        "LatteTransformer3DModel",
        _latte,
        lambda b, n, size: {"encoder_hidden_states": _text(b, 8)},
        4,
        8,
        other_num_frames=None,
    ),
)

each_tiny = pytest.mark.parametrize("tiny", TINY, ids=lambda tiny: tiny.kind)


def output(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    with torch.no_grad():
        return model(**inputs, return_dict=False)[0]


def ip_adapter(model: Any) -> dict[str, Any]:
    """Weights of an IP-Adapter in the form in which they are published."""
    crossing = [
        module
        for name, module in model.named_modules()
        if name.endswith("attn2") and "motion_modules" not in name
    ]
    generator = torch.Generator().manual_seed(0)
    layers = {
        f"{2 * index + 1}.to_{which}_ip.weight": torch.randn(
            module.inner_dim, module.cross_attention_dim, generator=generator
        )
        for index, module in enumerate(crossing)
        for which in "kv"
    }
    width = model.config.cross_attention_dim
    projection = {
        "proj.weight": torch.randn(4 * width, 6, generator=generator),
        "proj.bias": torch.zeros(4 * width),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.zeros(width),
    }
    return {"image_proj": projection, "ip_adapter": layers}


def random_embeddings(tensors: dict[str, Tensor], *, seed: int = 4) -> dict[str, Tensor]:
    """The same names and shapes with normal numbers, float64."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        for name, tensor in tensors.items()
    }
