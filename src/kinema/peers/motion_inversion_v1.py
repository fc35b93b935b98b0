"""Motion Inversion as first published: one embedding a block, on queries, keys and values alike.

It has no place in it, only frames and channels (arXiv 2403.20193, version 1). It enters a model as
a motion of `kinema.motion_inversion` does, whose query-key and value embeddings are one and the
same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.motion_inversion import Attachment, Motion, Site, denoising_loss, find_sites
from kinema.motion_inversion import generate as generate_with_motion
from kinema.motion_inversion.parameters import QUERY_KEY, VALUE
from kinema.motion_inversion.usage import Usage
from kinema.peers.learned import Learned
from kinema.peers.sampling import Sampling
from kinema.peers.settings import TrainedSettings
from kinema.peers.task import Task, fitting_unet
from kinema.peers.training import Descent, learning, noised, run_steps

NAME = "motion-inversion-v1"


@dataclass(frozen=True)
class MotionInversionV1Settings(TrainedSettings):
    """The authors' settings; the loss is MotionDirector's appearance-debiased one."""

    num_steps: int = 200
    learning_rate: float = 0.05


def embedded_sites(model: nn.Module) -> list[Site]:
    """The attentions of the two widest kinds of down and up blocks: 1280 and 640 on ZeroScope."""
    sites = [
        site
        for site in find_sites(model, blocks="all")
        if site.block.startswith(("down_blocks", "up_blocks"))
    ]
    widths = sorted({site.channels for site in sites})[-2:]
    return [site for site in sites if site.channels in widths]


def new_embeddings(
    sites: list[Site], *, num_frames: int, device: torch.device | str | None = None
) -> dict[str, Tensor]:
    """Zeros `(1, num_frames, C)` for each block of these sites."""
    return {
        QUERY_KEY + site.block: torch.zeros(1, num_frames, site.channels, device=device)
        for site in sites
    }


def with_values(embeddings: Mapping[str, Tensor], sites: list[Site]) -> dict[str, Tensor]:
    """The same embeddings for values too, `(1, 1, num_frames, C)`: everywhere alike."""
    values = {VALUE + site.name: embeddings[QUERY_KEY + site.block][None] for site in sites}
    return {**embeddings, **values}


def learn(task: Task, settings: MotionInversionV1Settings, *, progress: bool) -> Learned:
    """Train the embeddings alone."""
    sites = embedded_sites(task.unet)
    embeddings = new_embeddings(
        sites, num_frames=task.origin.num_frames, device=task.latents.device
    )
    for embedding in embeddings.values():
        embedding.requires_grad_()
    descent = Descent(embeddings.values(), task, settings)
    with learning(task, settings):
        attachment = Attachment(
            task.denoiser.model, with_values(embeddings, sites), sites, Usage(value="raw")
        )

        def step() -> float:
            drawn = noised(task)
            attachment.tensors = with_values(embeddings, sites)
            loss = denoising_loss(
                task.denoiser.predict(drawn.noisy, drawn.timesteps),
                drawn.target,
                objective="debiased",
                anchor=int(torch.randint(task.origin.num_frames, (1,))),
            )
            descent.backward(loss)
            descent.step()
            return loss.item()

        try:
            run_steps(step, settings.num_steps, name=NAME, progress=progress)
        finally:
            attachment.detach()
    tensors = {name: tensor.detach().cpu() for name, tensor in embeddings.items()}
    return Learned(NAME, task.origin, tensors, task.inverted_latents(settings.inversion_steps))


def generate(learned: Learned, settings: MotionInversionV1Settings, sampling: Sampling) -> Tensor:
    """Sample with the embeddings as they were learned: this version did not debias them."""
    sites = embedded_sites(fitting_unet(learned, sampling.pipe))
    inverted = learned.kept.get("inverted_latents")
    motion = Motion(with_values(learned.tensors, sites), learned.origin, inverted)
    return generate_with_motion(
        sampling.pipe,
        sampling.prompt,
        motion=motion,
        seed=sampling.seed,
        num_steps=sampling.num_steps,
        guidance=sampling.guidance,
        noise="none" if inverted is None else "blend",
        noise_share=settings.noise_share,
        value="raw",
        progress=sampling.progress,
        negative_prompt=sampling.negative_prompt,
    )
