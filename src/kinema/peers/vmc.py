"""Video Motion Customization: temporal projections tuned on how noise changes between frames.

Queries, keys and values of temporal attention are tuned whole, so that the predicted noise changes
from frame to frame in the direction in which the true noise does (arXiv 2312.00845).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from kinema.errors import InputError
from kinema.motion_inversion import find_sites
from kinema.peers.ddim import clean_and_noise
from kinema.peers.learned import Learned
from kinema.peers.sampling import Sampling
from kinema.peers.settings import TrainedSettings
from kinema.peers.task import Task, fitting_unet
from kinema.peers.training import Descent, learning, noised, run_steps
from kinema.peers.weights import exchanged

NAME = "vmc"
FORMS = ("paper", "released")
"""The two forms of the loss; `residual_loss` says what each one is."""


@dataclass(frozen=True)
class VmcSettings(TrainedSettings):
    """The authors' settings; sampling starts from the clip's inverted noise alone.

    Attributes:
        form: of the loss, "paper" or "released".
        max_norm: at which the norm of all gradients is clipped.
    """

    sampling_steps: int = 75
    guidance: float = 9.0
    num_steps: int = 400
    learning_rate: float = 1e-4
    inversion_steps: int = 75
    noise_share: float = 1.0
    form: str = "paper"
    max_norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._expect("above 0", lambda value: value > 0, "max_norm")
        if self.form not in FORMS:
            raise InputError(f"form is {self.form!r}; expected one of {', '.join(FORMS)}")


def residual_loss(predicted: Tensor, noise: Tensor, *, form: str = "paper") -> Tensor:
    """One minus the cosine between changes from frame to frame of predicted and of true noise.

    Args:
        predicted: `(B, C, T, h, w)`, two frames or more.
        noise: the same shape.
        form: "paper" takes the cosine between the whole change of a frame, over channels and
            places, and that of the other. "released", as the authors' code does, takes it between
            the sizes of the changes at one channel and place, over frames: their signs are lost.

    Returns:
        The mean, from 0 to 2 ("paper") or to 1 ("released").
    """
    ours, true = (each.diff(dim=2) for each in (predicted, noise))
    if form == "released":
        return (1 - F.cosine_similarity(ours.abs(), true.abs(), dim=2)).mean()
    ours, true = (each.transpose(1, 2).flatten(2) for each in (ours, true))
    return (1 - F.cosine_similarity(ours, true, dim=2)).mean()


def tuned_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that are tuned, by name: those of `transformer_in` are not."""
    attentions = [
        site.name
        for site in find_sites(model, blocks="all")
        if not site.name.startswith("transformer_in")
    ]
    return {
        f"{attention}.{projection}.{name}": parameter
        for attention in attentions
        for projection in ("to_q", "to_k", "to_v")
        for name, parameter in model.get_submodule(f"{attention}.{projection}").named_parameters()
    }


def learn(task: Task, settings: VmcSettings, *, progress: bool) -> Learned:
    """Tune copies of the weights; the model's own are put back."""
    with learning(task, settings):
        copies = {
            name: nn.Parameter(parameter.detach().float().clone())
            for name, parameter in tuned_weights(task.unet).items()
        }
        descent = Descent(copies.values(), task, settings, max_norm=settings.max_norm)
        levels = task.scheduler.alphas_cumprod.to(task.latents)

        def step() -> float:
            drawn = noised(task)
            _, predicted = clean_and_noise(
                drawn.noisy,
                task.denoiser.predict(drawn.noisy, drawn.timesteps),
                level=float(levels[drawn.timesteps]),
                kind=task.scheduler.config.prediction_type,
            )
            loss = residual_loss(predicted, drawn.noise, form=settings.form)
            descent.backward(loss)
            descent.step()
            return loss.item()

        with exchanged(task.unet, copies):
            run_steps(step, settings.num_steps, name=NAME, progress=progress)
    tensors = {name: copy.detach() for name, copy in copies.items()}
    kept = inverted_by_the_tuned(task, tensors, num_steps=settings.inversion_steps)
    return Learned(NAME, task.origin, {name: each.cpu() for name, each in tensors.items()}, kept)


def inverted_by_the_tuned(
    task: Task, tensors: Mapping[str, Tensor], *, num_steps: int
) -> dict[str, Tensor]:
    """The clip's own noise, `{"inverted_latents": (C, T, h, w)}`, as the tuned model finds it.

    The authors' code tunes its pipeline in place and inverts the clip with it before sampling.
    """
    own = next(task.unet.parameters())
    with exchanged(task.unet, {name: tensor.to(own) for name, tensor in tensors.items()}):
        return task.inverted_latents(num_steps)


def generate(learned: Learned, settings: VmcSettings, sampling: Sampling) -> Tensor:
    """Sample with the tuned weights in place."""
    unet = fitting_unet(learned, sampling.pipe)
    own = next(unet.parameters())
    weights = {name: weight.to(own) for name, weight in learned.tensors.items()}
    with exchanged(unet, weights):
        return sampling.video(sampling.start(learned, settings.noise_share))
