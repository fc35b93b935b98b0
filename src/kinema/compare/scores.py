"""How one generated video scores: by the truth on sprites, by tracks and CLIP on any clip."""

import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from kinema.compare.plan import Plan, Reference
from kinema.errors import InputError
from kinema.measure import (
    ClipEmbedder,
    LucasKanade,
    Tracker,
    Tracks,
    appearance_similarity,
    displacement_cosine,
    dmt_motion_fidelity,
    judge,
    leak_shares,
    motion_fidelity,
    path_diversity,
    path_error,
    path_length_ratio,
    seed_diversity,
    temporal_consistency,
    text_similarity,
)
from kinema.sprites import parse_caption

Scores = dict[str, float | None]


class Scorer(Protocol):
    """A way to score a video."""

    @property
    def motion(self) -> str:
        """Name of the score that says how well the motion came over."""

    @property
    def appearance(self) -> str:
        """Name of the score that says how well the prompt was shown."""

    def identity(self) -> dict[str, Any]:
        """Return what tells its scores from another's, in values that JSON has; "name" is one."""

    def check(self, plan: Plan) -> None:
        """See that every video of a plan can be scored, as far as the plan tells.

        Raises:
            InputError: it cannot.
        """

    def prepare(self, reference: Reference, clip: Tensor) -> None:
        """Look at a reference as the model sees it, before anything is learned from it.

        Raises:
            InputError: no video can be scored against it.
        """

    def score(self, video: Tensor, *, reference: Reference, prompt: str) -> Scores:
        """Return the scores of one video by name; None where one does not apply.

        Args:
            video: (T, 3, H, W) in [0, 1].
            reference: whose motion it was to have; it was prepared before.
            prompt: what it was to show.
        """

    def diversity(self, videos: Tensor) -> float | None:
        """Return how far videos of one prompt and reference differ, None where that is not known.

        Args:
            videos: (S, T, 3, H, W) in [0, 1], of S seeds, 2 or more.
        """


@dataclass(frozen=True)
class SpriteScorer:
    """Sprites videos, by the exact judge against the truth of the reference.

    Gives `displacement_cosine`, `path_length_ratio` and `path_error` of the paths, `appearance` (1
    where colour, shape and background are the prompt's), `one_sprite`, and `leak` (1 where a word
    of appearance that the prompt asks otherwise is the reference's).
    """

    motion: str = "displacement_cosine"
    appearance: str = "appearance"

    def identity(self) -> dict[str, Any]:
        """Return its name; see `Scorer`."""
        return {"name": type(self).__name__}

    def check(self, plan: Plan) -> None:
        """See that references are rendered and prompts in the grammar; see `Scorer`."""
        for reference in plan.references:
            if reference.trajectory is None or reference.description is None:
                raise InputError(
                    f"the truth of {reference.name} is not known; give references of the sprites "
                    "world, or score by tracks"
                )
        for prompt in plan.prompts:
            parse_caption(prompt)
        if plan.num_frames is not None or plan.size is not None:
            raise InputError(
                f"frames are {plan.num_frames} and the size {plan.size}, and the truth of sprites "
                "is known of whole references; leave them out, or score by tracks"
            )

    def prepare(self, reference: Reference, clip: Tensor) -> None:
        """Nothing is to be seen in a reference whose truth is known; see `Scorer`."""

    def score(self, video: Tensor, *, reference: Reference, prompt: str) -> Scores:
        """Judge one video; see `Scorer`."""
        assert reference.trajectory is not None
        assert reference.description is not None
        verdict, asked = judge(video[None]), parse_caption(prompt)
        path, truth = verdict.trajectory, reference.trajectory[None]
        try:
            leak = leak_shares(verdict, [asked], [reference.description])["any"]
        except InputError:
            # The prompt asks for the reference's own looks, so there is nothing to leak.
            leak = None
        return {
            "displacement_cosine": displacement_cosine(path, truth).item(),
            "path_length_ratio": path_length_ratio(path, truth).item(),
            "path_error": path_error(path, truth).item(),
            "appearance": float(verdict.agreement([asked])["appearance"][0]),
            "one_sprite": float(verdict.one_sprite[0]),
            "leak": leak,
        }

    def diversity(self, videos: Tensor) -> float | None:
        """Return `kinema.measure.path_diversity`: 0 where the place was copied too."""
        return path_diversity(judge(videos).trajectory)


@dataclass
class TrackScorer:
    """Any videos, by tracks of points, and by CLIP where one is given.

    Gives `motion_fidelity`; with CLIP also `text_similarity`, `temporal_consistency` and `leak`,
    the likeness of the video to the reference; and where it is asked for, as figures are published,
    `dmt_motion_fidelity`.

    Attributes:
        tracker: follows points; Lucas-Kanade is built in.
        clip: of transformers.
        as_published: score by `kinema.measure.dmt_motion_fidelity` too; None where a track rests,
            as it nearly always does with Lucas-Kanade.
    """

    tracker: Tracker = field(default_factory=LucasKanade)
    clip: ClipEmbedder | None = None
    as_published: bool = False
    motion: str = "motion_fidelity"
    appearance: str = "text_similarity"
    _known: dict[str, tuple[Tracks, Any]] = field(default_factory=dict, repr=False)

    def identity(self) -> dict[str, Any]:
        """Return its name, its tracker and its CLIP; see `Scorer`."""
        return {
            "name": type(self).__name__,
            "tracker": self.tracker.identity(),
            "clip": None if self.clip is None else self.clip.identity(),
            **({"motion_fidelity": "as published too"} if self.as_published else {}),
        }

    def check(self, plan: Plan) -> None:
        """Any plan will do; whether there is anything to track, `prepare` finds out."""

    def prepare(self, reference: Reference, clip: Tensor) -> None:
        """Track a reference and embed it; see `Scorer`."""
        seen = None if self.clip is None else self.clip.frames(clip)
        self._known[reference.name] = (self.tracker(clip, clip=reference.name), seen)

    def score(self, video: Tensor, *, reference: Reference, prompt: str) -> Scores:
        """Track one video and embed it; see `Scorer`."""
        if reference.name not in self._known:
            raise InputError(
                f"nothing is known of the reference {reference.name}; prepare the scorer with its "
                "clip first"
            )
        theirs, looks = self._known[reference.name]
        scores: Scores = {"motion_fidelity": None}
        if self.as_published:
            scores["dmt_motion_fidelity"] = None
        # Nothing can be followed in a video without texture; its motion is not known.
        with suppress(InputError):
            ours = self.tracker(video)
            scores["motion_fidelity"] = motion_fidelity(ours, theirs)
            if self.as_published:
                found = dmt_motion_fidelity(ours, theirs)
                scores["dmt_motion_fidelity"] = found if math.isfinite(found) else None
        if self.clip is not None:
            frames, text = self.clip.frames(video), self.clip.texts([prompt])[0]
            scores |= {
                "text_similarity": float(text_similarity(frames, text)),
                "temporal_consistency": float(temporal_consistency(frames)),
                "leak": float(appearance_similarity(frames, looks)),
            }
        return scores

    def diversity(self, videos: Tensor) -> float | None:
        """Return `kinema.measure.seed_diversity` by CLIP, None without one."""
        if self.clip is None:
            return None
        return seed_diversity(torch.stack([self.clip.frames(video) for video in videos]))
