"""A motion: learned tensors and where they came from, to keep, to combine and to use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion import motion_file
from kinema.motion_inversion.arguments import whole_number
from kinema.motion_inversion.attach import attach
from kinema.motion_inversion.attachment import Attachment
from kinema.motion_inversion.combine import compressed, in_time, scaled, summed
from kinema.motion_inversion.embedding import at_length
from kinema.motion_inversion.origin import Origin, check_same_model
from kinema.motion_inversion.parameters import check_embedding, check_factors
from kinema.motion_inversion.sites import LAYOUTS

KINDS = ("query_key", "value")


@dataclass(frozen=True, eq=False)
class Motion:
    """A learned motion: `with motion.on(pipe): pipe("a toy train")`.

    Motions of one model add up and take factors: `0.5 * a + 0.5 * b`, `a - b`. All of it works on
    embeddings as learned; debiasing comes last, when they are used.

    Attributes:
        tensors: embeddings by name (`kinema.motion_inversion.parameters`), float32.
        origin: where they came from.
        inverted_latents: `(C, T, H, W)`, the clip's noise by DDIM inversion, where it was kept.

    Raises:
        InputError: a tensor without meaning here, of a wrong shape, with NaN or infinity.
    """

    tensors: Mapping[str, Tensor]
    origin: Origin
    inverted_latents: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.tensors:
            raise InputError("a motion without embeddings; expected one tensor or more")
        for name, tensor in self.tensors.items():
            check_embedding(
                name, tensor, num_frames=self.num_frames, attentions=self.origin.attentions
            )
        check_factors(self.tensors)
        latents = self.inverted_latents
        if latents is not None and (latents.ndim != 4 or not latents.isfinite().all()):
            raise InputError(
                f"inverted latents of shape {tuple(latents.shape)}; expected (C, T, H, W), finite"
            )

    @property
    def num_frames(self) -> int:
        """How many frames the motion is long."""
        return self.origin.num_frames

    @property
    def num_numbers(self) -> int:
        """How many numbers the embeddings are."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    @property
    def _has_query_keys(self) -> bool:
        return any(name.startswith("query_key") for name in self.tensors)

    def save(
        self,
        path: str | Path,
        *,
        dtype: torch.dtype | None = None,
        preview: Tensor | None = None,
    ) -> None:
        """Write one safetensors file with everything in it.

        Args:
            path: by custom with the suffix .safetensors.
            dtype: of the tensors in the file, as torch.float16 for half the size; kept as they
                are by default.
            preview: a video `(T, 3, H, W)` in [0, 1] to lie beside it as a gif of the same name.

        Raises:
            InputError: the file cannot be written.
        """
        motion_file.write(
            path, self.tensors, self.origin, self.inverted_latents, dtype=dtype, preview=preview
        )

    @classmethod
    def load(cls, path: str | Path) -> "Motion":
        """Read what `save` wrote.

        Raises:
            InputError: there is no such file, it is truncated or none of Kinema's, or it holds
                tensors that cannot be used.
        """
        tensors, origin, inverted_latents = motion_file.read(Path(path))
        try:
            return cls(tensors, origin, inverted_latents)
        except InputError as error:
            raise InputError(f"{path} holds no motion that can be used: {error}") from error

    def push_to_hub(self, repo_id: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload to a model repository of the Hugging Face hub and return its address."""
        return motion_file.push_to_hub(self, repo_id, private=private, token=token)

    @classmethod
    def from_pretrained(
        cls, source: str | Path, *, revision: str | None = None, token: str | None = None
    ) -> "Motion":
        """Load from a hub repository, or from a folder that holds `motion.safetensors`.

        Raises:
            InputError: as `load`, or the hub has no such file.
        """
        return cls.load(motion_file.download(source, revision=revision, token=token))

    @contextmanager
    def on(
        self,
        target: Any,
        *,
        strength: float = 1.0,
        query_key: float | None = None,
        value: str = "centred",
        value_strength: float | None = None,
        window: tuple[float, float] = (0.0, 1.0),
        branch: str = "both",
    ) -> Iterator[Attachment]:
        """Put the motion on a pipeline, or on its denoiser, while the block runs.

        Args and errors are those of `attach`.
        """
        attachment = attach(
            target,
            self,
            strength=strength,
            query_key=query_key,
            value=value,
            value_strength=value_strength,
            window=window,
            branch=branch,
        )
        try:
            yield attachment
        finally:
            attachment.detach()

    def reversed(self) -> "Motion":
        """The motion played backwards.

        Embeddings are turned round in time as they were learned and debiased only when used, so
        the differences of a debiased value embedding come in reverse order and with their signs
        changed, as velocities do, and frame 1, which equation 5 keeps, is the clip's last. The
        positions of AnimateDiff's frames turn round along with query-key embeddings, once for all
        motions on the model (`kinema.motion_inversion.positions`); a motion without query-key
        embeddings does not turn them.
        """
        latents = self.inverted_latents
        return Motion(
            in_time(self.tensors, lambda tensor: tensor.flip(-2)),
            self.origin.then(done="reversed", backwards=not self.origin.backwards),
            None if latents is None else latents.flip(1),
        )

    def resampled(self, num_frames: int) -> "Motion":
        """The motion over another number of frames: twice as many make it half as fast.

        AnimateDiff's positions are drawn out along with it, as in `reversed`.
        Inverted latents are left behind: noise between two frames of noise would be too weak.

        Raises:
            InputError: num_frames below 2.
        """
        if num_frames < 2:
            raise InputError(f"num_frames is {num_frames}; expected 2 or more, or nothing moves")
        return Motion(
            in_time(self.tensors, partial(at_length, num_frames=num_frames)),
            self.origin.then(
                done=f"resampled to {num_frames} frames",
                num_frames=num_frames,
                clip_frames=self.origin.clip_time.num_frames,
            ),
        )

    def compressed(self, rank: int = 8) -> "Motion":
        """The motion in fewer numbers: value embeddings of low rank, close to what was learned.

        What each rank loses is in `docs/log.md`. Smaller embeddings and query-keys stay.

        Args:
            rank: directions of each attention's channels, 1 or more; more keep more.

        Raises:
            InputError: a rank that makes no sense.
        """
        if whole_number("rank", rank) < 1:
            raise InputError(f"rank is {rank}; expected 1 or more")
        return Motion(
            compressed(self.tensors, rank),
            self.origin.then(done=f"compressed to rank {rank}"),
            self.inverted_latents,
        )

    def only(self, kind: str) -> "Motion":
        """The motion's "query_key" or "value" embeddings alone.

        Raises:
            InputError: another kind, or one that the motion does not have.
        """
        if kind not in KINDS:
            raise InputError(f"kind is {kind!r}; expected one of {', '.join(KINDS)}")
        tensors = {name: tensor for name, tensor in self.tensors.items() if name.startswith(kind)}
        if not tensors:
            raise InputError(f"this motion has no {kind} embeddings; it was learned without")
        return Motion(tensors, self.origin.then(done=f"{kind} only"), self.inverted_latents)

    def __mul__(self, factor: float) -> "Motion":
        """Embeddings of another strength, as `strength` when used. What is learned is stronger than
        need be: half of it may lead as far as all of it, a tenth a third of the way
        (`docs/log.md`)."""
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            return NotImplemented
        return Motion(
            scaled(self.tensors, factor),
            self.origin.then(done=f"times {factor:g}"),
            self.inverted_latents,
        )

    __rmul__ = __mul__

    def __neg__(self) -> "Motion":
        return self * -1.0

    def __add__(self, other: "Motion") -> "Motion":
        """The sum of two motions of one model and length; inverted latents are left behind.

        It is a sum of embeddings, not of paths: what the model makes of two motions at half
        strength lies between them where they do not contradict each other, else it may follow one,
        one after the other, or neither (`docs/log.md`, arithmetic).

        Raises:
            InputError: another model or length; or, on AnimateDiff, embeddings that were learned
                on other positions: of a clip of another length, or one of them reversed since.
        """
        if not isinstance(other, Motion):
            return NotImplemented
        check_same_model(
            self.origin,
            model_class=other.origin.model_class,
            attentions=other.origin.attentions,
            where="the one to add to it on a",
        )
        if self.num_frames != other.num_frames:
            raise InputError(
                f"a motion of {self.num_frames} frames and one of {other.num_frames}; bring them "
                "to one length with resampled first"
            )
        timed = self._timed(other)
        added = ", ".join([repr(other.origin.prompt), *other.origin.history])
        return Motion(
            summed(self.tensors, other.tensors),
            self.origin.then(
                done=f"plus {added}",
                clip_frames=timed.clip_frames,
                backwards=timed.backwards,
            ),
        )

    def _timed(self, other: "Motion") -> Origin:
        """Of two motions that are to be added up, the origin with the positions of their sum."""
        timed = [motion.origin for motion in (self, other) if motion._has_query_keys]
        row = LAYOUTS.get(self.origin.model_class)
        if len(timed) == 2 and row is not None and row.adds_positions:
            ours, theirs = (origin.clip_time for origin in timed)
            if ours != theirs:
                raise InputError(
                    f"a motion with the positions of {ours} and one with those of {theirs}, and "
                    "the model can show its attention one of them; add motions that were learned "
                    "at one length, both forwards or both backwards"
                )
        return timed[0] if timed else self.origin

    def __sub__(self, other: "Motion") -> "Motion":
        return self + -other if isinstance(other, Motion) else NotImplemented

    def __repr__(self) -> str:
        height, width = self.origin.latent_size
        return (
            f"Motion({self.origin.prompt!r}, {self.num_frames} frames, latents {width}x{height}, "
            f"{self.origin.model_class}, {self.num_numbers:,} numbers)"
        )
