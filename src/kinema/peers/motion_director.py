"""MotionDirector: low-rank layers for how the clip looks and others for how it moves.

Both kinds learn together: the spatial ones from single frames, so that the temporal ones need not
learn the looks; only the temporal ones are used (arXiv 2310.08465).
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinema.motion_inversion import denoising_loss
from kinema.peers.learned import Learned
from kinema.peers.lora import factors, layers_inside, learned_low_rank, low_rank, switch
from kinema.peers.sampling import Sampling
from kinema.peers.settings import TrainedSettings
from kinema.peers.task import Task, fitting_unet
from kinema.peers.training import Descent, learning, noised, run_steps

NAME = "motiondirector"
_SPATIAL = ("Transformer2DModel",)
_TEMPORAL = ("TransformerTemporalModel", "AnimateDiffTransformer3D")
# Attention between places, but not to the text, and the layers after it; in time all but the
# projections in and out.
_SPATIAL_PARTS = ("attn1", "ff")
_TEMPORAL_PARTS = ("attn1", "attn2", "ff")


@dataclass(frozen=True)
class MotionDirectorSettings(TrainedSettings):
    """The authors' settings for a single video.

    Attributes:
        rank: of all low-rank layers.
        dropout: of what they add.
        spatial_share: in which share of the steps the spatial layers take part.
        beta: of the appearance-debiased loss.
    """

    rank: int = 32
    dropout: float = 0.1
    spatial_share: float = 0.8
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect("1 or more", lambda value: value >= 1, "rank")
        self._expect("from 0 to below 1", lambda value: 0 <= value < 1, "dropout")
        self._expect("a share from 0 to 1", lambda value: 0 <= value <= 1, "spatial_share")
        self._expect("0 or more", lambda value: value >= 0, "beta")


def spatial_layers(model: nn.Module) -> list[str]:
    """Paths of the layers whose low-rank companions learn the looks."""
    return layers_inside(model, _SPATIAL, parts=_SPATIAL_PARTS)


def temporal_layers(model: nn.Module) -> list[str]:
    """Paths of the layers whose low-rank companions learn the motion."""
    return layers_inside(model, _TEMPORAL, parts=_TEMPORAL_PARTS)


def learn(task: Task, settings: MotionDirectorSettings, *, progress: bool) -> Learned:
    """Train both kinds of layers side by side and keep the temporal ones."""
    spatial_paths, temporal_paths = spatial_layers(task.unet), temporal_layers(task.unet)
    with (
        learning(task, settings),
        low_rank(
            task.unet,
            [*spatial_paths, *temporal_paths],
            rank=settings.rank,
            dropout=settings.dropout,
        ) as layers,
    ):
        spatial = {path: layers[path] for path in spatial_paths}
        temporal = {path: layers[path] for path in temporal_paths}
        looks = Descent(factors(spatial).values(), task, settings)
        motion = Descent(factors(temporal).values(), task, settings)
        chance = random.Random(task.seed)

        def step() -> float:
            with_looks = chance.random() < settings.spatial_share
            drawn = noised(task)
            frame, anchor = torch.randint(task.origin.num_frames, (2,)).tolist()
            # Both losses are taken before either step, as both paths see the same weights.
            switch(spatial, on=with_looks)
            loss = denoising_loss(
                task.denoiser.predict(drawn.noisy, drawn.timesteps),
                drawn.target,
                objective="debiased",
                anchor=anchor,
                beta=settings.beta,
            )
            motion.backward(loss)
            if with_looks:
                switch(temporal, on=False)
                single = slice(frame, frame + 1)
                prediction = task.denoiser.predict(drawn.noisy[:, :, single], drawn.timesteps)
                looks.backward(denoising_loss(prediction, drawn.target[:, :, single]))
                switch(temporal, on=True)
                looks.step()
            motion.step()
            return loss.item()

        run_steps(step, settings.num_steps, name=NAME, progress=progress)
        tensors = {
            name: factor.detach().float().cpu().clone()
            for name, factor in factors(temporal).items()
        }
    return Learned(NAME, task.origin, tensors, task.inverted_latents(settings.inversion_steps))


def generate(learned: Learned, settings: MotionDirectorSettings, sampling: Sampling) -> Tensor:
    """Sample with the temporal layers on."""
    unet = fitting_unet(learned, sampling.pipe)
    with learned_low_rank(unet, learned.tensors):
        return sampling.video(sampling.start(learned, settings.noise_share))
