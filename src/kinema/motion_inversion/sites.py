"""Where each supported model keeps its temporal attention: one table, and how to look in it.

A row is all that Kinema knows about a class of models. A model of another class is refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from kinema.errors import InputError

BLOCK_CHOICES = ("paper", "all")
"""Named choices of blocks; `find_sites` says what each one means."""


@dataclass(frozen=True)
class Layout:
    """How a class of models lays out its video and its temporal attention.

    Attributes:
        attentions: a regular expression over module paths; the group "block" is the transformer
            block, whose attentions share one query-key embedding.
        video_argument: name of the denoiser's first argument, the noisy video.
        frames_dim: its axis of frames: 2 in (B, C, T, H, W), 1 in (B, T, C, H, W).
        patch_size: side of the patches that become one site, from the configuration; None for a
            U-Net, whose levels halve the grid, rounding up.
        num_frames: the usual length of a clip, from the configuration.
        max_frames: how many frames the model has positions for; None for any number.
        adds_positions: its blocks add sinusoids of the frames' numbers to what their attentions
            see (`kinema.motion_inversion.positions`).
        fixed_length: the model takes `max_frames` frames and no other number.
        frames_argument: what its pipeline calls the number of frames.
        guidance_argument: what its pipeline calls the strength of guidance; None where it takes
            more than one.
        takes_prompt: whether its pipeline takes one.
        size: height and width in pixels that its pipeline makes unasked; None for the `sample_size`
            of the configuration.
    """

    attentions: str
    video_argument: str = "sample"
    frames_dim: int = 2
    patch_size: Callable[[Any], int] | None = None
    num_frames: Callable[[Any], int] = lambda config: 16
    max_frames: Callable[[Any], int | None] = lambda config: None
    adds_positions: bool = False
    fixed_length: bool = False
    frames_argument: str = "num_frames"
    guidance_argument: str | None = "guidance_scale"
    takes_prompt: bool = True
    size: tuple[int, int] | None = None


_LEVELS = r"(?:down_blocks\.\d+|mid_block|up_blocks\.\d+)"
_UNET3D = Layout(
    attentions=(
        rf"(?P<block>(?:{_LEVELS}\.temp_attentions\.\d+|transformer_in)"
        r"\.transformer_blocks\.\d+)\.attn[12]"
    )
)

LAYOUTS: dict[str, Layout] = {
    "UNet3DConditionModel": _UNET3D,
    "I2VGenXLUNet": replace(_UNET3D, size=(704, 1280)),
    "UNetMotionModel": Layout(
        attentions=(
            rf"(?P<block>{_LEVELS}\.motion_modules\.\d+\.transformer_blocks\.\d+)\.attn[12]"
        ),
        max_frames=lambda config: config.motion_max_seq_length,
        adds_positions=True,
    ),
    "UNetSpatioTemporalConditionModel": Layout(
        # attn2 reads a context of length 1: a softmax over one key has nothing to shift.
        attentions=(
            rf"(?P<block>{_LEVELS}\.attentions\.\d+\.temporal_transformer_blocks\.\d+)\.attn1"
        ),
        frames_dim=1,
        num_frames=lambda config: config.num_frames,
        guidance_argument=None,
        takes_prompt=False,
        size=(576, 1024),
    ),
    "LatteTransformer3DModel": Layout(
        attentions=r"(?P<block>temporal_transformer_blocks\.\d+)\.attn1",
        video_argument="hidden_states",
        patch_size=lambda config: config.patch_size,
        num_frames=lambda config: config.video_length,
        max_frames=lambda config: config.video_length,
        fixed_length=True,
        frames_argument="video_length",
    ),
}
"""The supported classes of diffusers models, by name."""


@dataclass(frozen=True)
class Site:
    """One temporal attention of a model.

    Attributes:
        name: path of the attention module.
        block: path of its transformer block; attentions of a block share a query-key embedding.
        channels: C, the width of what is projected to queries, keys and values.
        inner_channels: the width of queries, keys and values over all heads.
        num_heads: heads of the attention.
        stride: how many latent pixels, in height and in width, make one site of the grid.
        rounds_up: whether a rest smaller than the stride makes a site of its own.
    """

    name: str
    block: str
    channels: int
    inner_channels: int
    num_heads: int
    stride: int
    rounds_up: bool

    def grid(self, latent_size: tuple[int, int]) -> tuple[int, int]:
        """The height and width of the grid for latents of this height and width."""
        rest = self.stride - 1 if self.rounds_up else 0
        height, width = ((side + rest) // self.stride for side in latent_size)
        return height, width


def denoiser(target: Any) -> nn.Module:
    """The denoising model of a diffusers pipeline, or the model itself where one is given.

    Raises:
        InputError: it is neither, or a model of a class without a row in the table.
    """
    model = target
    if not isinstance(target, nn.Module):
        parts = getattr(target, "components", {})
        model = parts.get("unet") if parts.get("unet") is not None else parts.get("transformer")
    name = type(plain_model(model)).__name__ if isinstance(model, nn.Module) else None
    if name not in LAYOUTS:
        raise InputError(
            f"{type(target).__name__} {f'denoises with a {name}' if name else 'has no denoiser'}; "
            f"expected a pipeline around, or a model of, one of: {', '.join(LAYOUTS)}"
        )
    return model


def plain_model(model: nn.Module) -> nn.Module:
    """The model inside what `torch.compile` returns, or the model itself."""
    inner = model._modules.get("_orig_mod")
    return model if inner is None else inner


def layout(model: nn.Module) -> Layout:
    """The row of a model that `denoiser` returned."""
    return LAYOUTS[type(plain_model(model)).__name__]


def configuration(model: nn.Module) -> Any:
    """The diffusers configuration of a model that `denoiser` returned."""
    return plain_model(model).config


def find_sites(model: nn.Module, *, blocks: str = "paper") -> list[Site]:
    """List temporal attentions of a model, in the order of its modules.

    Args:
        model: of a supported class, on any device, "meta" too; compiled or not.
        blocks: "paper" for the widest temporal attentions of down and up blocks (on ZeroScope
            the five blocks with 1280 channels; of a transformer without levels all of them);
            "all" for every temporal attention; else a regular expression, searched for in the
            paths of blocks.

    Raises:
        InputError: an unsupported class, a pattern that is no regular expression or finds
            nothing.
    """
    model = plain_model(denoiser(model))
    row = layout(model)
    pattern = re.compile(row.attentions)
    sites = [
        _site(model, name, match["block"], module)
        for name, module in model.named_modules()
        if (match := pattern.fullmatch(name))
    ]
    if blocks == "all":
        return sites
    if blocks == "paper":
        sites = [
            site for site in sites if not site.block.startswith(("mid_block", "transformer_in"))
        ]
        widest = max(site.channels for site in sites)
        return [site for site in sites if site.channels == widest]
    return _matching(sites, blocks)


def _matching(sites: list[Site], blocks: str) -> list[Site]:
    try:
        wanted = re.compile(blocks)
    except re.error as error:
        raise InputError(
            f"blocks is {blocks!r}, which is no regular expression ({error}); expected one, or "
            f"one of {', '.join(BLOCK_CHOICES)}"
        ) from error
    found = [site for site in sites if wanted.search(site.block)]
    if not found:
        raise InputError(
            f"blocks is {blocks!r}, which fits no temporal attention of this model; expected one "
            f"of {', '.join(BLOCK_CHOICES)}, or a regular expression that fits such paths as "
            f"{sites[0].block}"
        )
    return found


def _site(model: nn.Module, name: str, block: str, attention: Any) -> Site:
    row, config = layout(model), configuration(model)
    if row.patch_size is not None:
        stride, rounds_up = row.patch_size(config), False
    else:
        stride, rounds_up = 2 ** _level(block, len(config.down_block_types)), True
    return Site(
        name=name,
        block=block,
        channels=attention.query_dim,
        inner_channels=attention.inner_dim,
        num_heads=attention.heads,
        stride=stride,
        rounds_up=rounds_up,
    )


def _level(block: str, num_levels: int) -> int:
    """How often the grid was halved where a block of a U-Net stands."""
    part, *rest = block.split(".")
    if part == "down_blocks":
        return int(rest[0])
    if part == "up_blocks":
        return num_levels - 1 - int(rest[0])
    return num_levels - 1 if part == "mid_block" else 0
