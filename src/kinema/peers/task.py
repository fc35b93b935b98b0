"""A clip to learn from, on a pipeline on which peers can: the same for all of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion import Origin, ddim_inversion, fitted_reference
from kinema.motion_inversion.arguments import seed_number
from kinema.motion_inversion.denoising import Denoiser, check_length, denoiser_of, latents_of
from kinema.motion_inversion.objective import training_scheduler
from kinema.motion_inversion.origin import (
    attentions_of,
    check_same_model,
    model_class_of,
    origin_of,
)
from kinema.motion_inversion.reference import Video
from kinema.motion_inversion.sites import denoiser, plain_model
from kinema.peers.learned import Learned
from kinema.peers.settings import PeerSettings

if TYPE_CHECKING:
    from diffusers import DDPMScheduler

SUPPORTED = ("UNet3DConditionModel", "UNetMotionModel")
"""Classes of models that the peers take: those with spatial and temporal layers apart."""


@dataclass(frozen=True, eq=False)
class Task:
    """A clip on a pipeline.

    Attributes:
        pipe: the pipeline.
        denoiser: its denoiser, told what the clip shows.
        latents: `(1, C, T, h, w)`, of the clip.
        origin: what is to be known of it later.
        scheduler: the noise levels that the model was trained at.
        seed: of everything random.
    """

    pipe: Any
    denoiser: Denoiser
    latents: Tensor
    origin: Origin
    scheduler: "DDPMScheduler"
    seed: int

    @property
    def unet(self) -> nn.Module:
        """The model itself, not what `torch.compile` made of it."""
        return plain_model(self.denoiser.model)

    def inverted_latents(self, num_steps: int) -> dict[str, Tensor]:
        """The clip's own noise, `{"inverted_latents": (C, T, h, w)}`; nothing for 0 steps."""
        if num_steps == 0:
            return {}
        unprompted = denoiser_of(self.pipe, "")
        noise = ddim_inversion(unprompted, self.latents, self.pipe.scheduler, num_steps=num_steps)
        return {"inverted_latents": noise[0].cpu()}


def task_of(
    pipe: Any,
    video: Video,
    *,
    method: str,
    prompt: str,
    seed: int,
    settings: PeerSettings,
    num_frames: int | None,
    size: tuple[int, int] | None,
    frames_per_second: float | None,
) -> Task:
    """Fit a clip to a pipeline, as `kinema.invert` does.

    Raises:
        InputError: the pipeline, the clip or the prompt cannot be used.
    """
    if not isinstance(prompt, str) or not prompt.strip():
        raise InputError(f"the prompt is {prompt!r}; expected words for what the clip shows")
    seed = seed_number(seed)
    unet = unet_of(pipe, method)
    told = denoiser_of(pipe, prompt)
    reference = fitted_reference(
        pipe, video, num_frames=num_frames, size=size, frames_per_second=frames_per_second
    )
    check_length(unet, len(reference.video))
    latents = latents_of(pipe, reference.video)
    origin = origin_of(
        pipe, latents, reference, prompt=prompt, settings=settings.to_json(), seed=seed
    )
    return Task(pipe, told, latents, origin, training_scheduler(pipe.scheduler), seed)


def unet_of(pipe: Any, method: str) -> nn.Module:
    """The denoiser of a pipeline, if a peer can work on it.

    Raises:
        InputError: another class of model, no pipeline, or weights that are out of reach.
    """
    unet = plain_model(denoiser(pipe))
    name = type(unet).__name__
    if name not in SUPPORTED or isinstance(pipe, nn.Module):
        raise InputError(
            f"{method} cannot be used on a {name}"
            f"{' without its pipeline' if name in SUPPORTED else ''}; expected a pipeline around "
            f"one of: {', '.join(SUPPORTED)}"
        )
    if any(parameter.is_meta for parameter in unet.parameters()):
        raise InputError(
            f"{method} changes layers, and those of this {name} are offloaded; load the pipeline "
            "without sequential offloading"
        )
    if any(getattr(module, "fused_projections", False) for module in unet.modules()):
        raise InputError(
            f"{method} changes projections one by one, and those of this {name} are fused; call "
            "unfuse_qkv_projections() on it first"
        )
    return unet


def fitting_unet(learned: Learned, pipe: Any) -> nn.Module:
    """The denoiser of a pipeline, if what was learned belongs on it.

    Raises:
        InputError: it was learned on another model; the first difference is named.
    """
    unet = unet_of(pipe, learned.method)
    check_same_model(
        learned.origin,
        model_class=model_class_of(pipe),
        attentions=attentions_of(unet),
        where="this is a",
    )
    return unet
