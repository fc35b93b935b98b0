"""What the peers that train share: noise on the clip, an optimiser, and a model left as it was."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from kinema.errors import InputError
from kinema.motion_inversion.frozen import frozen
from kinema.motion_inversion.objective import training_target
from kinema.motion_inversion.recompute import recomputing
from kinema.peers.settings import TrainedSettings
from kinema.peers.task import Task

_HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Noised:
    """The clip's latents with noise on them, all but the timesteps `(1, C, T, h, w)`."""

    noisy: Tensor
    timesteps: Tensor
    noise: Tensor
    target: Tensor


def noised(task: Task) -> Noised:
    """Draw noise and a level, uniformly, from torch's own generator."""
    noise = torch.randn(task.latents.shape).to(task.latents)
    timesteps = torch.randint(task.scheduler.config.num_train_timesteps, (1,)).to(noise.device)
    return Noised(
        task.scheduler.add_noise(task.latents, noise, timesteps),
        timesteps,
        noise,
        training_target(task.scheduler, task.latents, noise, timesteps),
    )


@contextmanager
def learning(task: Task, settings: TrainedSettings) -> Iterator[None]:
    """A frozen model, gradients, and randomness that depends on the seed alone.

    Half-precision models compute under autocast, so that what is learned can be float32.
    """
    device, dtype = task.latents.device, task.denoiser.text.dtype
    with ExitStack() as stack:
        stack.enter_context(frozen(task.unet))
        stack.enter_context(recomputing(task.unet, on=settings.gradient_checkpointing))
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
        torch.manual_seed(task.seed)
        stack.enter_context(torch.enable_grad())
        if dtype in _HALF:
            # Its cache would hold on to the weights of the first step, in half precision.
            stack.enter_context(torch.autocast(device.type, dtype, cache_enabled=False))
        if device.type == "cpu":
            # The flash kernel's backward pass is the slower one on a CPU.
            stack.enter_context(sdpa_kernel([SDPBackend.MATH]))
        yield


class Descent:
    """AdamW over some parameters; float16 gradients are scaled so that they do not vanish."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter | Tensor],
        task: Task,
        settings: TrainedSettings,
        *,
        max_norm: float | None = None,
    ) -> None:
        self.parameters, self.max_norm = list(parameters), max_norm
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        half = task.denoiser.text.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(task.latents.device.type, enabled=half)

    def backward(self, loss: Tensor) -> None:
        """Give the parameters, and nothing else, the gradients of a loss."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward(inputs=self.parameters)

    def step(self) -> None:
        """Go one step down the gradients."""
        if self.max_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()


def run_steps(step: Callable[[], float], num_steps: int, *, name: str, progress: bool) -> None:
    """Take steps, each of which gives its loss.

    Raises:
        InputError: a loss is NaN.
    """
    from tqdm import tqdm

    with tqdm(total=num_steps, desc=name, disable=None if progress else True, leave=False) as bar:
        for number in range(1, num_steps + 1):
            loss = step()
            if loss != loss:
                raise InputError(
                    f"the loss of {name} is NaN at step {number}; learn with a lower learning rate"
                )
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}")
