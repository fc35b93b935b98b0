"""All methods by name: the control, motion inversion and the peers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion import (
    PAPER_SAMPLING,
    PRESETS,
    InversionSettings,
    Motion,
    invert,
)
from kinema.motion_inversion import generate as generate_with_motion
from kinema.motion_inversion.arguments import finite_number, whole_number
from kinema.motion_inversion.generate import Prompts, Seeds, is_list, videos_asked_for
from kinema.motion_inversion.noise import check_inversion_steps
from kinema.motion_inversion.reference import Video
from kinema.motion_inversion.sites import denoiser, find_sites
from kinema.peers import control, dmt, motion_director, motion_inversion_v1, vmc
from kinema.peers.learned import Learned, is_learned
from kinema.peers.lora import check_low_rank
from kinema.peers.method import Method, Outcome
from kinema.peers.sampling import Sampling
from kinema.peers.settings import PeerSettings, TrainedSettings
from kinema.peers.space_time import feature_modules
from kinema.peers.task import task_of, unet_of


@dataclass(frozen=True)
class Peer:
    """A method of this package; its outcome is a `Learned`.

    Attributes:
        name: of it.
        defaults: as published.
        from_task: how it learns.
        to_video: how it generates.
        check_model: refuses a model that it cannot work on, beyond its class.
        batches: whether it makes several videos at once; else they are made one by one.
    """

    name: str
    defaults: PeerSettings
    from_task: Callable[..., Learned]
    to_video: Callable[..., Tensor]
    check_model: Callable[[nn.Module], object] = lambda unet: None
    batches: bool = True

    def check(self, pipe: Any, settings: Any = None) -> None:
        """See whether a pipeline and settings will do, as `Method` says."""
        chosen = self.defaults if settings is None else settings
        _check_kind(self.name, chosen, type(self.defaults))
        self.check_model(unet_of(pipe, self.name))
        if isinstance(chosen, TrainedSettings):
            check_inversion_steps(chosen.inversion_steps, pipe.scheduler)

    def learn(
        self,
        pipe: Any,
        video: Video,
        *,
        prompt: str,
        seed: int = 0,
        settings: Any = None,
        num_frames: int | None = None,
        size: tuple[int, int] | None = None,
        frames_per_second: float | None = None,
        progress: bool = True,
    ) -> Learned:
        """Learn from one clip, as `Method` says."""
        self.check(pipe, settings)
        chosen = self.defaults if settings is None else settings
        task = task_of(
            pipe,
            video,
            method=self.name,
            prompt=prompt,
            seed=seed,
            settings=chosen,
            num_frames=num_frames,
            size=size,
            frames_per_second=frames_per_second,
        )
        return self.from_task(task, chosen, progress=progress)

    def generate(
        self,
        pipe: Any,
        prompt: Prompts,
        learned: Outcome,
        *,
        seed: Seeds = 0,
        num_steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Show a prompt, as `Method` says."""
        if not isinstance(learned, Learned) or learned.method != self.name:
            raise _foreign(self.name, learned)
        settings = type(self.defaults).from_json(learned.origin.settings)
        if num_steps is not None and whole_number("num_steps", num_steps) < 1:
            raise InputError(f"num_steps is {num_steps}; expected 1 or more")
        if guidance is not None:
            guidance = finite_number("guidance", guidance)
        videos: list[tuple[str, int]] = []
        for words, each in videos_asked_for(prompt, seed):
            if not isinstance(words, str):
                raise InputError(f"the prompt is {words!r}; expected words for what to show")
            videos.append((words, each))
        sampling = Sampling(
            pipe=pipe,
            prompt=prompt,
            origin=learned.origin,
            seed=seed,
            num_steps=settings.sampling_steps if num_steps is None else num_steps,
            guidance=settings.guidance if guidance is None else guidance,
            negative_prompt=negative_prompt,
            progress=progress,
        )
        if not (is_list(prompt) or is_list(seed)):
            return self.to_video(learned, settings, sampling)
        if self.batches:
            whole = replace(sampling, prompt=[p for p, _ in videos], seed=[s for _, s in videos])
            return self.to_video(learned, settings, whole)
        alone = [replace(sampling, prompt=p, seed=s) for p, s in videos]
        return torch.stack([self.to_video(learned, settings, each) for each in alone])


@dataclass(frozen=True)
class Inversion:
    """Motion inversion with given settings; its outcome is a `Motion`.

    Attributes:
        name: of the method.
        defaults: of `kinema.invert`.
        sampling: arguments of `kinema.generate`.
    """

    name: str
    defaults: InversionSettings
    sampling: Mapping[str, Any] = field(default_factory=dict)

    def check(self, pipe: Any, settings: Any = None) -> None:
        """See whether a pipeline and settings will do, as `Method` says."""
        chosen = self.defaults if settings is None else settings
        _check_kind(self.name, chosen, InversionSettings)
        find_sites(denoiser(pipe), blocks=chosen.blocks)
        check_inversion_steps(chosen.inversion_steps, pipe.scheduler)

    def learn(
        self,
        pipe: Any,
        video: Video,
        *,
        prompt: str,
        seed: int = 0,
        settings: Any = None,
        num_frames: int | None = None,
        size: tuple[int, int] | None = None,
        frames_per_second: float | None = None,
        progress: bool = True,
    ) -> Motion:
        """Learn from one clip, as `Method` says."""
        self.check(pipe, settings)
        chosen = self.defaults if settings is None else settings
        return invert(
            pipe,
            video,
            prompt=prompt,
            seed=seed,
            settings=chosen,
            num_frames=num_frames,
            size=size,
            frames_per_second=frames_per_second,
            progress=progress,
        )

    def generate(
        self,
        pipe: Any,
        prompt: Prompts,
        learned: Outcome,
        *,
        seed: Seeds = 0,
        num_steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str | None = None,
        progress: bool = False,
    ) -> Tensor:
        """Show a prompt, as `Method` says."""
        if not isinstance(learned, Motion):
            raise _foreign(self.name, learned)
        chosen = dict(self.sampling)
        if num_steps is not None:
            chosen["num_steps"] = num_steps
        if guidance is not None:
            chosen["guidance"] = guidance
        if negative_prompt is not None:  # Latte's pipeline takes none in its place
            chosen["negative_prompt"] = negative_prompt
        if learned.inverted_latents is None:
            chosen.pop("noise", None)
        return generate_with_motion(
            pipe,
            prompt,
            motion=learned,
            seed=seed,
            progress=progress,
            **chosen,
        )


_METHODS: tuple[Peer | Inversion, ...] = (
    Peer(control.NAME, PeerSettings(), control.learn, control.generate),
    Inversion("kinema", PRESETS["default"]),
    Inversion("motion-inversion", PRESETS["paper"], PAPER_SAMPLING),
    Peer(
        motion_inversion_v1.NAME,
        motion_inversion_v1.MotionInversionV1Settings(),
        motion_inversion_v1.learn,
        motion_inversion_v1.generate,
    ),
    Peer(
        motion_director.NAME,
        motion_director.MotionDirectorSettings(),
        motion_director.learn,
        motion_director.generate,
        check_model=check_low_rank,
    ),
    Peer(vmc.NAME, vmc.VmcSettings(), vmc.learn, vmc.generate),
    Peer(
        dmt.NAME,
        dmt.DmtSettings(),
        dmt.learn,
        dmt.generate,
        check_model=feature_modules,
        batches=False,
    ),
)
METHODS: dict[str, Method] = {method.name: method for method in _METHODS}
"""Every method by its name: the control, ours, and the peers."""


def method_named(name: str) -> Method:
    """Look a method up.

    Raises:
        InputError: there is none of this name; those that there are are listed.
    """
    if name not in METHODS:
        raise InputError(f"the method is {name!r}; expected one of {', '.join(METHODS)}")
    return METHODS[name]


def load(path: str | Path) -> Outcome:
    """Read what any method learned.

    Raises:
        InputError: there is no such file, or no method wrote it.
    """
    return Learned.load(path) if is_learned(path) else Motion.load(path)


def _check_kind(method: str, settings: object, expected: type) -> None:
    if type(settings) is not expected:
        raise InputError(
            f"the settings of {method} are a {type(settings).__name__}; expected "
            f"{expected.__name__}"
        )


def _foreign(method: str, learned: object) -> InputError:
    found = learned.method if isinstance(learned, Learned) else type(learned).__name__
    return InputError(
        f"what was learned is of {found} and the method is {method}; give what {method} learned"
    )
