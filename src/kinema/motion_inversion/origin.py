"""Where a motion came from, and whether it fits a model."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from kinema.errors import InputError
from kinema.motion_inversion.positions import ClipTime
from kinema.motion_inversion.sites import denoiser, find_sites, plain_model

if TYPE_CHECKING:
    from kinema.motion_inversion.reference import Reference

Attentions = Mapping[str, tuple[int, int, int]]
"""Channels, inner channels and heads of every temporal attention of a model, by its path."""


@dataclass(frozen=True)
class Origin:
    """What is known about how a motion was learned.

    Attributes:
        model_class: of the denoiser.
        attentions: all its temporal attentions, with or without an embedding.
        num_frames: of the clip it was learned from.
        latent_size: height and width of the clip's latents.
        model_id: hub id or path that the pipeline was loaded from, where it has one.
        frames_per_second: of the frames taken from the clip, where it is known.
        source_sha256: of the clip's file, or of its frames where there was no file.
        prompt: what the clip was said to show.
        settings: those of the inversion, as JSON holds them.
        seed: of the inversion.
        kinema_version: that learned it.
        history: what was done to the motion since, first things first.
        clip_frames: how many frames the clip had where the motion has another number now; None
            in older files, whose resampled embeddings make up for the positions themselves.
        backwards: whether the motion plays the clip backwards.
    """

    model_class: str
    attentions: Attentions
    num_frames: int
    latent_size: tuple[int, int]
    model_id: str | None = None
    frames_per_second: float | None = None
    source_sha256: str | None = None
    prompt: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    kinema_version: str = field(default_factory=lambda: version("kinema"))
    history: tuple[str, ...] = ()
    clip_frames: int | None = None
    backwards: bool = False

    @property
    def fingerprint(self) -> str:
        """A short name for the shapes of the model's temporal attention."""
        table = json.dumps([self.model_class, dict(self.attentions)], sort_keys=True)
        return hashlib.sha256(table.encode()).hexdigest()[:16]

    @property
    def clip_time(self) -> ClipTime:
        """The positions that the embeddings were learned on."""
        return ClipTime(self.clip_frames or self.num_frames, self.backwards)

    def then(self, *, done: str, **changed: Any) -> "Origin":
        """The same origin with one thing more done to the motion, and what it changed."""
        return dataclasses.replace(self, history=(*self.history, done), **changed)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; what was never done to the motion is left out."""
        values = {**dataclasses.asdict(self), "fingerprint": self.fingerprint}
        for name in ("clip_frames", "backwards"):
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_json(cls, values: Any) -> "Origin":
        """The reverse of `to_json`.

        Raises:
            InputError: something is missing, or is not what it should be.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            known = {name: value for name, value in values.items() if name in names}
            known["attentions"] = {
                str(name): (int(channels), int(inner), int(heads))
                for name, (channels, inner, heads) in known["attentions"].items()
            }
            height, width = known["latent_size"]
            known["latent_size"] = (int(height), int(width))
            known["history"] = tuple(known["history"])
            known["num_frames"] = int(known["num_frames"])
            if "clip_frames" in known:
                known["clip_frames"] = int(known["clip_frames"])
            return cls(**known)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the header does not say where the motion came from ({error!r}); expected what "
                "Motion.save writes"
            ) from error


def attentions_of(model: nn.Module) -> Attentions:
    """The temporal attentions of a supported model."""
    return {
        site.name: (site.channels, site.inner_channels, site.num_heads)
        for site in find_sites(model, blocks="all")
    }


def model_class_of(target: Any) -> str:
    """The class of the denoiser of a pipeline, or of a model."""
    return type(plain_model(denoiser(target))).__name__


def origin_of(
    pipe: Any,
    latents: Tensor,
    reference: "Reference",
    *,
    prompt: str,
    settings: dict[str, Any],
    seed: int,
) -> Origin:
    """The origin of what is about to be learned from a clip.

    Args:
        pipe: the pipeline that it is learned on.
        latents: of the clip, `(1, C, T, h, w)`.
        reference: the clip as it was fitted to the pipeline.
        prompt: what it shows.
        settings: of the learning, as plain JSON values.
        seed: of everything random.
    """
    return Origin(
        model_class=model_class_of(pipe),
        attentions=attentions_of(denoiser(pipe)),
        num_frames=latents.shape[2],
        latent_size=(latents.shape[3], latents.shape[4]),
        model_id=getattr(pipe, "name_or_path", None) or None,
        frames_per_second=reference.frames_per_second,
        source_sha256=reference.sha256,
        prompt=prompt,
        settings=settings,
        seed=seed,
    )


def check_same_model(
    origin: Origin, *, model_class: str, attentions: Attentions, where: str
) -> None:
    """Refuse a model, or a motion, of another shape.

    Raises:
        InputError: in one sentence, the first difference.
    """
    if origin.model_class != model_class:
        raise InputError(
            f"this motion was learned on a {origin.model_class} and {where} {model_class}; learn "
            "it anew there"
        )
    for name, learned in origin.attentions.items():
        present = attentions.get(name)
        if present is None:
            raise InputError(
                f"this motion was learned on a model with a temporal attention at {name}, which "
                f"{where} {model_class} without; learn it anew there"
            )
        for what, there, here in zip(
            ("channels", "inner channels", "heads"), learned, present, strict=True
        ):
            if there != here:
                raise InputError(
                    f"this motion was learned on a model with {there} {what} at {name}, and "
                    f"{where} {model_class} with {here}; learn it anew there"
                )
    extra = next((name for name in attentions if name not in origin.attentions), None)
    if extra is not None:
        raise InputError(
            f"this motion was learned on a model without a temporal attention at {extra}, and "
            f"{where} {model_class} with one; learn it anew there"
        )
