"""One way to call every pipeline's denoiser: noisy latents and a noise level in, a prediction out.

Text is encoded once and the clip's latents once; no pipeline runs while a motion is learned.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion.sites import LAYOUTS, configuration, denoiser, layout, plain_model

_VAE_CHUNK = 8


@dataclass(frozen=True)
class Denoiser:
    """A pipeline's denoiser, told a prompt.

    Attributes:
        model: the denoiser, perhaps compiled.
        text: `(1, tokens, width)`, the prompt's encoding.
        arguments: from the encoding, the number of videos and of frames to what else the model is
            called with.
    """

    model: nn.Module
    text: Tensor
    arguments: Callable[[Tensor, int, int], dict[str, Tensor]]

    def predict(self, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Denoise.

        Args:
            noisy: `(B, C, T, h, w)`.
            timesteps: `(B,)`, from 0 for clean.

        Returns:
            `(B, C, T, h, w)` in the scheduler's prediction type.
        """
        called = {
            layout(self.model).video_argument: noisy.to(self.text.dtype),
            "timestep": timesteps,
            **self.arguments(self.text, len(noisy), noisy.shape[2]),
        }
        prediction = self.model(**called, return_dict=False)[0]
        return prediction[:, : noisy.shape[1]]  # Latte predicts variances too, after the mean


def _text_of_video(text: Tensor, num_videos: int, _: int) -> dict[str, Tensor]:
    return {"encoder_hidden_states": text.expand(num_videos, -1, -1)}


def _text_of_frames(text: Tensor, num_videos: int, num_frames: int) -> dict[str, Tensor]:
    return {"encoder_hidden_states": text.expand(num_videos * num_frames, -1, -1)}


_ARGUMENTS: dict[str, Callable[[Tensor, int, int], dict[str, Tensor]]] = {
    "UNet3DConditionModel": _text_of_video,
    "UNetMotionModel": _text_of_frames,
    "LatteTransformer3DModel": _text_of_video,
}
"""Classes of models that motions can be learned on."""


def denoiser_of(pipe: Any, prompt: str) -> Denoiser:
    """Tell a pipeline's denoiser a prompt.

    Raises:
        InputError: a pipeline on whose model motions cannot be learned: of another class, or one
            that is to be told more than a prompt.
    """
    model = denoiser(pipe)
    name = type(plain_model(model)).__name__
    if name not in _ARGUMENTS or isinstance(pipe, nn.Module):
        raise InputError(
            f"a motion cannot be learned on a {type(pipe).__name__}"
            f"{f' with a {name}' if name not in _ARGUMENTS else ' without its pipeline'}; expected "
            f"a text-to-video pipeline with one of: {', '.join(_ARGUMENTS)}"
        )
    _check_condition(model)
    with torch.no_grad():
        text = pipe.encode_prompt(
            prompt,
            device=pipe._execution_device,
            do_classifier_free_guidance=False,
            num_images_per_prompt=1,
        )[0]
    return Denoiser(model, text, _ARGUMENTS[name])


def _check_condition(model: nn.Module) -> None:
    """Refuse models that are to be told more than a prompt."""
    config = configuration(model)
    # diffusers sets the attribute alone, not the entry, where it loads an IP-Adapter.
    if getattr(config, "encoder_hid_dim_type", None) == "ip_image_proj":
        raise InputError(
            "a motion cannot be learned while an IP-Adapter is loaded, which wants an image; call "
            "unload_ip_adapter() on the pipeline first, and load it again to use the motion"
        )
    added = getattr(config, "addition_embed_type", None)
    if added is not None:
        raise InputError(
            f"a motion cannot be learned on a {type(plain_model(model)).__name__} whose "
            f"addition_embed_type is {added!r}, as of Stable Diffusion XL; expected None, as of "
            "Stable Diffusion 1.5"
        )


@torch.no_grad()
def latents_of(pipe: Any, video: Tensor) -> Tensor:
    """The latents of a video by the pipeline's autoencoder, without its noise.

    Args:
        pipe: a pipeline.
        video: `(T, 3, H, W)` in [0, 1].

    Returns:
        `(1, C, T, h, w)` float32 on the pipeline's device, scaled as the denoiser takes them.
    """
    vae = pipe.vae
    frames = (2 * video - 1).to(pipe._execution_device, vae.dtype)
    latents = torch.cat(
        [vae.encode(chunk).latent_dist.mode() for chunk in frames.split(_VAE_CHUNK)]
    )
    return vae.config.scaling_factor * latents.float().transpose(0, 1)[None]


def default_size(pipe: Any) -> tuple[int, int]:
    """The height and width in pixels that a pipeline makes unasked."""
    model = denoiser(pipe)
    size = layout(model).size
    if size is not None:
        return size
    sample_size = configuration(model).sample_size
    sides = (sample_size, sample_size) if isinstance(sample_size, int) else sample_size
    height, width = (side * pipe.vae_scale_factor for side in sides)
    return height, width


def check_length(model: nn.Module, num_frames: int) -> None:
    """Refuse a length that a model does not take.

    Raises:
        InputError: fewer than 2 frames, more than the model has positions for, or another number
            than the only one it takes.
    """
    row = LAYOUTS[type(plain_model(model)).__name__]
    most = row.max_frames(configuration(model))
    if num_frames < 2:
        raise InputError(f"num_frames is {num_frames}; expected 2 or more, or nothing moves")
    if most is not None and row.fixed_length and num_frames != most:
        raise InputError(f"num_frames is {num_frames}; this model takes {most} and no other number")
    if most is not None and num_frames > most:
        raise InputError(
            f"num_frames is {num_frames} and this model has positions for {most}; ask for fewer"
        )


def checked_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Refuse a size in pixels that no latents have.

    Raises:
        InputError: a side is no multiple of the stride.
    """
    height, width = size
    if height < stride or width < stride or height % stride or width % stride:
        raise InputError(
            f"size is {height}x{width} (height x width); expected multiples of {stride}, which one "
            "latent pixel stands for"
        )
    return height, width
