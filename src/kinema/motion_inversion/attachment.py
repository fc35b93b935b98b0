"""Embeddings on a model: what they become in each call, and off again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion.attention import (
    check_attention,
    check_still_on,
    put_on,
    take_off,
)
from kinema.motion_inversion.parameters import site_query_key, site_value
from kinema.motion_inversion.positions import ClipTime
from kinema.motion_inversion.sites import (
    Site,
    configuration,
    denoiser,
    layout,
    plain_model,
)
from kinema.motion_inversion.usage import Usage

logger = logging.getLogger(__name__)


@dataclass
class _Attached:
    """The attachments of a model, and its own compiled call where that had to give way."""

    attachments: list["Attachment"] = field(default_factory=list)
    compiled_call: Any = None


# It lies on the model itself: anywhere else it would keep the model from ever being freed.
_RECORD = "_kinema_attached"

_Added = tuple[Tensor | None, Tensor | None, Tensor | None]
"""What an attention gets added: query-key embedding, value embedding, positions."""


class Attachment:
    """Embeddings that are on a model until `detach`.

    Tensors that require a gradient are read anew in every call, for training; others are brought
    to the model's length, grid and dtype once.

    Args:
        target: a pipeline, or its denoiser where the window is the whole sampling.
        tensors: embeddings by name (`kinema.motion_inversion.parameters`).
        sites: where they belong.
        usage: how they are used.
        clip_time: the positions that they were learned on; by default those of as many frames as
            they have.

    Raises:
        InputError: an unsupported model, attentions that cannot take a shift, a window without a
            scheduler to tell the steps from, or positions other than those of a motion that is on.
    """

    def __init__(
        self,
        target: Any,
        tensors: Mapping[str, Tensor],
        sites: Sequence[Site],
        usage: Usage,
        *,
        clip_time: ClipTime | None = None,
    ) -> None:
        self.called = denoiser(target)
        self.model = plain_model(self.called)
        self.layout = layout(self.model)
        self.max_frames = self.layout.max_frames(configuration(self.model))
        self.tensors = tensors
        self.sites = list(sites)
        self.usage = usage
        self.pipe = None if target is self.called else target
        # Where it is known; a call of the model with twice as many is one with guidance.
        self.num_videos: int | None = None
        if self.pipe is None and not usage.all_steps:
            raise InputError(
                f"window is {usage.window}, and a {type(target).__name__} alone does not know the "
                "steps of a sampling; attach to its pipeline instead"
            )
        for site in self.sites:
            check_attention(self.model, site)
        self.clip_time = self._seen(clip_time)
        attached = vars(self.model).get(_RECORD) or _Attached()
        for other in attached.attachments:
            self._check_agreement(other)
        self._learning = any(tensor.requires_grad for tensor in tensors.values())
        self._prepared: tuple[object, list[_Added]] | None = None
        self._suspended = False
        self.shifts = put_on(self.model, self.sites)
        self._hook = self.called.register_forward_pre_hook(self._before_call, with_kwargs=True)
        self.model.__dict__[_RECORD] = attached
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
        attached: _Attached | None = vars(self.model).get(_RECORD)
        if attached is None or self not in attached.attachments:
            return
        attached.attachments.remove(self)
        self._hook.remove()
        take_off(self.model, self.sites, self.shifts)
        self._prepared = None
        if not attached.attachments:
            self.model._compiled_call_impl = attached.compiled_call
            del self.model.__dict__[_RECORD]

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the model as it is without the embeddings while the block runs."""
        self._suspended = True
        try:
            yield
        finally:
            self._suspended = False

    def _seen(self, clip_time: ClipTime | None) -> ClipTime | None:
        """The positions that attention is to see; None where that is not for this motion to say."""
        lengths = [
            tensor.shape[-2]
            for name, tensor in self.tensors.items()
            if name.startswith("query_key")
        ]
        if not (self.layout.adds_positions and self.usage.query_key_strength and lengths):
            return None
        return clip_time or ClipTime(lengths[0])

    def _check_agreement(self, other: "Attachment") -> None:
        """Refuse positions other than those of a motion that is on in the same steps."""
        ours, theirs = self.clip_time, other.clip_time
        (start, end), (other_start, other_end) = self.usage.window, other.usage.window
        at_once = start < other_end and other_start < end
        if ours and theirs and ours != theirs and at_once:
            raise InputError(
                f"this motion needs the positions of {ours} and one that is attached those of "
                f"{theirs}, and the model can show its attention one of them; use both forwards "
                "or both backwards, learned at one length, or in steps apart (window)"
            )

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
        skipped = self._skipped(video)
        latent_size = (video.shape[-2], video.shape[-1])
        embeddings = self._embeddings(num_frames, latent_size, video)
        for shift, added in zip(self.shifts, embeddings, strict=True):
            shift.query_key, shift.value, shift.positions = added
            shift.batch_size, shift.skipped = len(video), skipped

    def _in_window(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        if self.usage.all_steps or self.pipe is None:
            return True
        now = args[1] if len(args) > 1 else kwargs["timestep"]
        steps = torch.as_tensor(self.pipe.scheduler.timesteps)
        now = torch.as_tensor(now).to(steps).flatten()[0]
        share = int((steps - now).abs().argmin()) / len(steps)
        start, end = self.usage.window
        return start <= share < end

    def _skipped(self, video: Tensor) -> int:
        """How many videos, from the first, do not follow the prompt."""
        batch_size = len(video)
        if self.usage.branch == "both" or batch_size == 1:
            return 0
        if self.num_videos is not None:
            guided = batch_size == 2 * self.num_videos
        elif self.pipe is None:
            guided = True
        elif (told := getattr(self.pipe, "do_classifier_free_guidance", None)) is not None:
            guided = bool(told)
        else:
            # Not every pipeline says so of itself; guidance shows the model every video twice.
            unprompted, prompted = video[: batch_size // 2], video[-(batch_size // 2) :]
            guided = torch.equal(unprompted, prompted)
        if not guided:
            return 0
        if batch_size % 2:
            raise InputError(
                f"the model was called with {batch_size} videos, and branch='conditional' wants as "
                "many without the prompt as with it; use branch='both' or an even number"
            )
        return batch_size // 2

    def _embeddings(
        self, num_frames: int, latent_size: tuple[int, int], video: Tensor
    ) -> list[_Added]:
        key = (num_frames, latent_size, video.dtype, video.device)
        if self._prepared is not None and self._prepared[0] == key and not self._learning:
            return self._prepared[1]
        prepared = [self._embedding(site, num_frames, latent_size, video) for site in self.sites]
        self._prepared = None if self._learning else (key, prepared)
        return prepared

    def _embedding(
        self, site: Site, num_frames: int, latent_size: tuple[int, int], video: Tensor
    ) -> _Added:
        query_key = value = positions = None
        if self.usage.query_key_strength != 0:
            query_key = site_query_key(
                self.tensors, site, num_frames=num_frames, grid=site.grid(latent_size)
            )
        if query_key is not None and self.clip_time is not None:
            positions = self.clip_time.shift(num_frames, query_key)
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
            None if positions is None else positions.to(video),
        )

    def _scaled(self, embedding: Tensor | None, strength: float, like: Tensor) -> Tensor | None:
        # Zeros that nobody is learning are left out: the model then runs exactly as it is.
        if embedding is None or not (self._learning or embedding.any()):
            return None
        scaled = embedding if strength == 1 else embedding * strength
        return scaled.to(like)


def detach(target: Any) -> None:
    """Take every motion off a pipeline or a model; without one it stays as it is."""
    attached: _Attached | None = vars(plain_model(denoiser(target))).get(_RECORD)
    for attachment in list(attached.attachments if attached is not None else ()):
        attachment.detach()
