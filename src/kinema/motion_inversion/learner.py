"""One step of an inversion, and all that it depends on."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from kinema.errors import InputError
from kinema.motion_inversion.attachment import Attachment
from kinema.motion_inversion.checkpoint import Progress
from kinema.motion_inversion.compiled import compiled_layers
from kinema.motion_inversion.denoising import Denoiser
from kinema.motion_inversion.frozen import frozen
from kinema.motion_inversion.motion import Motion
from kinema.motion_inversion.objective import (
    denoising_loss,
    latent_weight,
    training_scheduler,
    training_target,
)
from kinema.motion_inversion.origin import Origin
from kinema.motion_inversion.parameters import new_embeddings
from kinema.motion_inversion.recompute import recomputing
from kinema.motion_inversion.settings import InversionSettings
from kinema.motion_inversion.sites import find_sites, plain_model
from kinema.motion_inversion.usage import Usage
from kinema.weights import digest_of_weights

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Learner:
    """One inversion: the clip, the embeddings, and a step."""

    attachment: Attachment

    def __init__(
        self,
        pipe: Any,
        denoiser: Denoiser,
        latents: Tensor,
        origin: Origin,
        settings: InversionSettings,
        seed: int,
        attention: Tensor | None,
    ) -> None:
        self.denoiser, self.latents, self.origin = denoiser, latents, origin
        self.settings, self.seed = settings, seed
        self.scheduler = training_scheduler(pipe.scheduler)
        self.sites = find_sites(denoiser.model, blocks=settings.blocks)
        tensors = new_embeddings(
            self.sites,
            num_frames=origin.num_frames,
            latent_size=origin.latent_size,
            query_key=settings.query_key,
            query_key_grid=settings.query_key_grid,
            value=settings.value,
            coarse_factor=settings.coarse_factor,
            rank=settings.rank,
            seed=seed,
            device=latents.device,
        )
        for tensor in tensors.values():
            tensor.requires_grad_()
        optimizer = torch.optim.AdamW(
            tensors.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.dtype = computing_dtype(
            settings.precision, denoiser.text.dtype, on_cpu=latents.device.type == "cpu"
        )
        # Without it most gradients of a float16 model are too small for float16 and become 0.
        scaler = torch.amp.GradScaler(latents.device.type, enabled=self.dtype == torch.float16)
        model = plain_model(denoiser.model)
        kind = str(denoiser.text.dtype).removeprefix("torch.")
        weights = f"{digest_of_weights({'denoiser': model})} {kind}"
        self.progress = Progress(0, tensors, optimizer, scaler, [], weights)
        self.weight = None
        if attention is not None:
            self.weight = latent_weight(
                attention, num_frames=origin.num_frames, latent_size=origin.latent_size
            ).to(latents)

    @contextmanager
    def on_the_model(self) -> Iterator[None]:
        """Embeddings on, everything else frozen; afterwards all is as it was."""
        model, again = self.denoiser.model, self.settings.gradient_checkpointing
        if again is None:
            # A GPU's memory is what runs out first; a CPU has that of the whole machine.
            again = self.latents.device.type != "cpu"
        usage = Usage(value=self.settings.training_value)
        compiling = compiled_layers(model, on=self.settings.compile_layers)
        with frozen(plain_model(model)), compiling, recomputing(model, on=again):
            self.attachment = Attachment(model, self.progress.tensors, self.sites, usage)
            try:
                yield
            finally:
                self.attachment.detach()

    def step(self) -> float:
        """One step of the optimiser; its randomness depends on seed and step alone."""
        settings, done = self.settings, self.progress
        done.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in range(settings.accumulation):
            generator = _generator(self.seed, done.step, part)
            with self._arithmetic():
                loss = self._loss(generator) / settings.accumulation
                done.scaler.scale(loss).backward()
            total += loss.item()
        if total != total:
            raise InputError(
                f"the loss is NaN at step {done.step + 1}; learn with a lower learning rate, or in "
                "another precision"
            )
        done.scaler.step(done.optimizer)
        done.scaler.update()
        done.step += 1
        done.losses.append(total)
        return total

    def on_a_plateau(self) -> bool:
        """Whether the last `patience` losses are no better than as many before."""
        patience, losses = self.settings.patience, self.progress.losses
        if patience is None or len(losses) < 2 * patience:
            return False
        before = sum(losses[-2 * patience : -patience])
        return sum(losses[-patience:]) > (1 - self.settings.min_improvement) * before

    def motion(self, inverted_latents: Tensor | None = None) -> Motion:
        """The motion as learned so far."""
        tensors = {
            name: tensor.detach().cpu().clone() for name, tensor in self.progress.tensors.items()
        }
        return Motion(tensors, self.origin, inverted_latents)

    def _loss(self, generator: torch.Generator) -> Tensor:
        clean = self.latents.expand(self.settings.batch_size, -1, -1, -1, -1)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        timesteps = draw_timesteps(
            len(clean),
            self.scheduler.config.num_train_timesteps,
            levels=self.settings.noise_levels,
            power=self.settings.noise_power,
            generator=generator,
        ).to(clean.device)
        anchor = int(torch.randint(clean.shape[2], (1,), generator=generator))
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        return denoising_loss(
            self.denoiser.predict(noisy, timesteps),
            training_target(self.scheduler, clean, noise, timesteps),
            objective=self.settings.objective,
            weight=self.weight,
            anchor=anchor,
        )

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        device = self.latents.device.type
        mixed = self.dtype != self.denoiser.text.dtype
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.autocast(device, self.dtype) if mixed else nullcontext())
            if device == "cpu":
                # The flash kernel's backward pass is 1.8 times slower at these sizes.
                stack.enter_context(sdpa_kernel([SDPBackend.MATH]))
            yield


def computing_dtype(precision: str, model_dtype: torch.dtype, *, on_cpu: bool) -> torch.dtype:
    """In which dtype a denoiser computes under a precision of the settings.

    Raises:
        InputError: more than the model's own weights have.
    """
    dtype = _DTYPES.get(precision, model_dtype)
    if on_cpu and dtype == torch.float16:
        return model_dtype
    if dtype == torch.float32 and model_dtype != dtype:
        raise InputError(
            f"precision is 'float32' and the model is loaded in {str(model_dtype).split('.')[1]}; "
            "load it in float32, or choose precision='model'"
        )
    return dtype


def draw_timesteps(
    count: int,
    num_timesteps: int,
    *,
    levels: Sequence[float] = (0.0, 1.0),
    power: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw noise levels to train at, `(count,)` int64 from 0 up to but without `num_timesteps`.

    Args:
        count: how many.
        num_timesteps: of the schedule.
        levels: from which to which share of the schedule.
        power: the density grows with this power of the share; 0 is uniform.
        generator: on the CPU.
    """
    low, high = (level ** (power + 1) for level in levels)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    shares = (low + (high - low) * uniform) ** (1 / (power + 1))
    return (shares * num_timesteps).long().clamp(max=num_timesteps - 1)


def _generator(seed: int, step: int, part: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{step}/{part}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
