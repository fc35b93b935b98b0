"""Embeddings on a model: what they become in each call, from when to when, and off again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion.attention import (
    check_attention,
    check_still_on,
    put_on,
    take_off,
)
from kinema.motion_inversion.embedding import check_value_mode
from kinema.motion_inversion.parameters import site_query_key, site_value
from kinema.motion_inversion.sites import (
    Site,
    configuration,
    denoiser,
    layout,
    plain_model,
)

logger = logging.getLogger(__name__)

BRANCHES = ("both", "conditional")
"""Which halves of classifier-free guidance a motion enters."""


@dataclass(frozen=True)
class Usage:
    """How embeddings are used on a model.

    Attributes:
        query_key_strength: factor of the query-key embeddings; 0 leaves them out.
        value_strength: factor of the value embeddings after debiasing; 0 leaves them out.
        value: what becomes of value embeddings, one of `VALUE_MODES`.
        window: from which share of the sampling steps, up to but without which; (0, 1) is all.
        branch: "both", or "conditional" for the second half of each batch, where diffusers puts
            what follows the prompt. A batch of one video has no other half and counts as it.
    """

    query_key_strength: float = 1.0
    value_strength: float = 1.0
    value: str = "centred"
    window: tuple[float, float] = (0.0, 1.0)
    branch: str = "both"

    def __post_init__(self) -> None:
        check_value_mode(self.value)
        for name in ("query_key_strength", "value_strength"):
            object.__setattr__(self, name, finite_number(name, getattr(self, name)))
        if self.branch not in BRANCHES:
            raise InputError(f"branch is {self.branch!r}; expected one of {', '.join(BRANCHES)}")
        try:
            start, end = (finite_number("window", share) for share in self.window)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"window is {self.window!r}; expected two shares of the steps, as (0.0, 0.4)"
            ) from error
        if not 0 <= start < end <= 1:
            raise InputError(
                f"window is {self.window!r}; expected two shares of the steps, the first below "
                "the second, between 0 and 1"
            )
        object.__setattr__(self, "window", (start, end))

    @property
    def all_steps(self) -> bool:
        """Whether the window is the whole sampling."""
        return self.window == (0.0, 1.0)


@dataclass
class _Attached:
    """The attachments of a model, and its own compiled call where that had to give way."""

    attachments: list["Attachment"] = field(default_factory=list)
    compiled_call: Any = None


_ATTACHED: WeakKeyDictionary[nn.Module, _Attached] = WeakKeyDictionary()


class Attachment:
    """Embeddings that are on a model until `detach`.

    Tensors that require a gradient are read anew in every call, for training; others are brought
    to the model's length, grid and dtype once.

    Args:
        target: a pipeline, or its denoiser where the window is the whole sampling.
        tensors: embeddings by name (`kinema.motion_inversion.parameters`).
        sites: where they belong.
        usage: how they are used.

    Raises:
        InputError: an unsupported model, attentions that cannot take a shift, or a window
            without a scheduler to tell the steps from.
    """

    def __init__(
        self,
        target: Any,
        tensors: Mapping[str, Tensor],
        sites: Sequence[Site],
        usage: Usage,
    ) -> None:
        self.called = denoiser(target)
        self.model = plain_model(self.called)
        self.layout = layout(self.model)
        self.max_frames = self.layout.max_frames(configuration(self.model))
        self.tensors = tensors
        self.sites = list(sites)
        self.usage = usage
        self.scheduler_of = None if target is self.called else target
        if self.scheduler_of is None and not usage.all_steps:
            raise InputError(
                f"window is {usage.window}, and a {type(target).__name__} alone does not know the "
                "steps of a sampling; attach to its pipeline instead"
            )
        for site in self.sites:
            check_attention(self.model, site)
        self._learning = any(tensor.requires_grad for tensor in tensors.values())
        self._prepared: tuple[object, list[tuple[Tensor | None, Tensor | None]]] | None = None
        self._suspended = False
        self.shifts = put_on(self.model, self.sites)
        self._hook = self.called.register_forward_pre_hook(self._before_call, with_kwargs=True)
        attached = _ATTACHED.setdefault(self.model, _Attached())
        if not attached.attachments:
            attached.compiled_call = self.model._compiled_call_impl
            if attached.compiled_call is not None:
                logger.info(
                    "the model was compiled in place, where hooks are not seen: it runs uncompiled "
                    "while a motion is attached; torch.compile(model) keeps it compiled"
                )
                self.model._compiled_call_impl = None
        attached.attachments.append(self)

    def detach(self) -> None:
        """Take the embeddings off; the processors that were there before are there again."""
        attached = _ATTACHED.get(self.model)
        if attached is None or self not in attached.attachments:
            return
        attached.attachments.remove(self)
        self._hook.remove()
        take_off(self.model, self.sites, self.shifts)
        self._prepared = None
        if not attached.attachments:
            self.model._compiled_call_impl = attached.compiled_call
            del _ATTACHED[self.model]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the model as it is without the embeddings while the block runs."""
        self._suspended = True
        try:
            yield
        finally:
            self._suspended = False

    def _before_call(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Say to every site what it has to add in the call that begins."""
        check_still_on(self.model, self.sites, self.shifts)
        if self._suspended or not self._in_window(args, kwargs):
            for shift in self.shifts:
                shift.clear()
            return
        video: Tensor = args[0] if args else kwargs[self.layout.video_argument]
        num_frames = video.shape[self.layout.frames_dim]
        if self.max_frames is not None and num_frames > self.max_frames:
            raise InputError(
                f"the video has {num_frames} frames and this model has positions for "
                f"{self.max_frames}; make it no longer"
            )
        skipped = self._skipped(len(video))
        latent_size = (video.shape[-2], video.shape[-1])
        embeddings = self._embeddings(num_frames, latent_size, video)
        for shift, (query_key, value) in zip(self.shifts, embeddings, strict=True):
            shift.query_key, shift.value = query_key, value
            shift.batch_size, shift.skipped = len(video), skipped

    def _in_window(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if self.usage.all_steps or self.scheduler_of is None:
            return True
        now = args[1] if len(args) > 1 else kwargs["timestep"]
        steps = torch.as_tensor(self.scheduler_of.scheduler.timesteps)
        now = torch.as_tensor(now).to(steps).flatten()[0]
        share = int((steps - now).abs().argmin()) / len(steps)
        start, end = self.usage.window
        return start <= share < end

    def _skipped(self, batch_size: int) -> int:
        if self.usage.branch == "both" or batch_size == 1:
            return 0
        if batch_size % 2:
            raise InputError(
                f"the model was called with {batch_size} videos, and branch='conditional' wants as "
                "many without the prompt as with it; use branch='both' or an even number"
            )
        return batch_size // 2

    def _embeddings(
        self, num_frames: int, latent_size: tuple[int, int], video: Tensor
    ) -> list[tuple[Tensor | None, Tensor | None]]:
        key = (num_frames, latent_size, video.dtype, video.device)
        if self._prepared is not None and self._prepared[0] == key and not self._learning:
            return self._prepared[1]
        prepared = [self._embedding(site, num_frames, latent_size, video) for site in self.sites]
        self._prepared = None if self._learning else (key, prepared)
        return prepared

    def _embedding(
        self, site: Site, num_frames: int, latent_size: tuple[int, int], video: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        query_key = value = None
        if self.usage.query_key_strength != 0:
            query_key = site_query_key(
                self.tensors, site, num_frames=num_frames, grid=site.grid(latent_size)
            )
        if self.usage.value_strength != 0:
            value = site_value(
                self.tensors,
                site,
                mode=self.usage.value,
                num_frames=num_frames,
                grid=site.grid(latent_size),
            )
        if value is not None:
            value = value.flatten(0, 1)
        return (
            self._scaled(query_key, self.usage.query_key_strength, video),
            self._scaled(value, self.usage.value_strength, video),
        )

    def _scaled(self, embedding: Tensor | None, strength: float, like: Tensor) -> Tensor | None:
        # Zeros that nobody is learning are left out: the model then runs exactly as it is.
        if embedding is None or not (self._learning or embedding.any()):
            return None
        scaled = embedding if strength == 1 else embedding * strength
        return scaled.to(like)


def detach(target: Any) -> None:
    """Take every motion off a pipeline or a model; without one it stays as it is."""
    attached = _ATTACHED.get(plain_model(denoiser(target)))
    for attachment in list(attached.attachments if attached is not None else ()):
        attachment.detach()


def finite_number(name: str, number: object) -> float:
    """A number as a float.

    Raises:
        InputError: it is none, or NaN or infinite.
    """
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InputError(f"{name} is {number!r}; expected a number")
    if number != number or number in (float("inf"), float("-inf")):
        raise InputError(f"{name} is {number}; expected a finite number")
    return float(number)
