"""What is compared: references, prompts, seeds and methods, on one model."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from kinema.errors import InputError
from kinema.motion_inversion.arguments import seed_number, whole_number
from kinema.peers import Inversion, Method, method_named
from kinema.peers.dmt import DmtSettings
from kinema.precision import check_precision
from kinema.sprites import Description, parse_caption, render, scenes_of


@dataclass(frozen=True, eq=False)
class Reference:
    """A clip whose motion is learned.

    Attributes:
        name: a file name without a suffix.
        video: a file, a folder of frames, or a tensor (T, 3, H, W) in [0, 1].
        prompt: what it shows, in words.
        trajectory: where its sprite is, (T, 2) in half frame widths, where that is known.
        description: what its sprite looks like, where that is known.
    """

    name: str
    video: Path | Tensor
    prompt: str
    trajectory: Tensor | None = None
    description: Description | None = None

    def identity(self) -> dict[str, Any]:
        """Return what tells it from another: name, prompt and a digest of the clip."""
        return {"name": self.name, "prompt": self.prompt, "sha256": _digest(self.video)}


@dataclass(frozen=True, eq=False)
class Plan:
    """A comparison.

    Attributes:
        references: the clips; each is learned by each method.
        prompts: what to show with their motions.
        seeds: of the starting noise; the first is that of learning too.
        methods: names in `kinema.peers.METHODS`, or of `variants`.
        settings: of a method, by its name, where not its published ones.
        variants: methods of the caller's own by name, such as an `Inversion` with other settings.
        num_steps: of every sampling; each method's own where None.
        guidance: of every sampling; each method's own where None.
        learn_each_seed: learn anew for each seed, not once with the first.
        num_frames: how many frames to take from each clip at most, and to make; the pipeline's
            usual number where None.
        size: height and width in pixels; the pipeline's usual where None.
        precision: of every sampling: "fp32" for the pipeline's own, "bf16" for autocast, which
            takes about half the time on a CPU. Learning is not touched.

    Raises:
        InputError: something is missing or named twice, a method is unknown, or a number is out of
            its range.
    """

    references: Sequence[Reference]
    prompts: Sequence[str]
    seeds: Sequence[int] = (0,)
    methods: Sequence[str] = ("none", "kinema")
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Method] = field(default_factory=dict)
    num_steps: int | None = None
    guidance: float | None = None
    learn_each_seed: bool = False
    num_frames: int | None = None
    size: tuple[int, int] | None = None
    precision: str = "fp32"

    def __post_init__(self) -> None:
        names = [reference.name for reference in self.references]
        for what, given in (
            ("references", names),
            ("prompts", self.prompts),
            ("seeds", self.seeds),
            ("methods", self.methods),
        ):
            if not given:
                raise InputError(f"there are no {what}; give one or more")
            twice = next((each for each in given if list(given).count(each) > 1), None)
            if twice is not None:
                raise InputError(f"{twice!r} is twice among the {what}; give each once")
        for what, words in (
            *(("prompt", prompt) for prompt in self.prompts),
            *((f"prompt of {each.name}", each.prompt) for each in self.references),
        ):
            if not isinstance(words, str) or not words.strip():
                raise InputError(f"the {what} is {words!r}; give words for what is to be seen")
        for seed in self.seeds:
            seed_number(seed)
        for method in (*self.methods, *self.settings):
            self.method(method)
        check_precision(self.precision)
        if self.num_steps is not None and whole_number("num_steps", self.num_steps) < 1:
            raise InputError(f"num_steps is {self.num_steps}; give 1 or more")
        if self.guidance is not None and not math.isfinite(self.guidance):
            raise InputError(f"guidance is {self.guidance}; give a finite number")

    def method(self, name: str) -> Method:
        """Return a method by its name.

        Raises:
            InputError: there is none.
        """
        return self.variants[name] if name in self.variants else method_named(name)

    def learned_as(self, name: str) -> str:
        """Return the method of the plan, first by name, that learns exactly as this one does.

        Forms of motion inversion that differ in sampling alone share what is learned.
        """
        mine = self.method(name)
        if not isinstance(mine, Inversion):
            return name
        return min(
            other
            for other in self.methods
            if isinstance(self.method(other), Inversion)
            and self.settings_of(other) == self.settings_of(name)
        )

    def learning_seeds(self) -> list[int]:
        """Return the seeds that learning is done with."""
        return list(self.seeds) if self.learn_each_seed else [self.seeds[0]]

    def settings_of(self, method: str) -> Any:
        """Return the settings of a method in this comparison.

        DMT's are of as many sampling steps as there will be: it keeps latents of the clip for each.
        """
        settings = self.settings.get(method, self.method(method).defaults)
        if isinstance(settings, DmtSettings) and self.num_steps is not None:
            return settings.over(self.num_steps)
        return settings

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, by which a run that goes on knows its own results."""
        return {
            "references": [reference.identity() for reference in self.references],
            "prompts": list(self.prompts),
            "seeds": list(self.seeds),
            "methods": {
                name: {**self.settings_of(name).to_json(), **_sampling(self.method(name))}
                for name in self.methods
            },
            "num_steps": self.num_steps,
            "guidance": self.guidance,
            "learn_each_seed": self.learn_each_seed,
            "precision": self.precision,
            # Only where they are asked for: plans of before say nothing of them.
            **({} if self.num_frames is None else {"num_frames": self.num_frames}),
            **({} if self.size is None else {"size": list(self.size)}),
        }


def clip_reference(path: str | Path, prompt: str) -> Reference:
    """Return a clip of the user's as a reference.

    Raises:
        InputError: there is no such file or folder.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no clip {path}; give a video file or a folder of frames")
    # "." and ".." are no names.
    named = path if path.name.strip(".") else path.resolve()
    return Reference(named.stem, path, prompt)


def clip_references(clips: Sequence[tuple[str | Path, str]]) -> list[Reference]:
    """Return clips of the user's, each a path and its words, as references of different names.

    Of files that have one name in different folders, the second becomes NAME-2, and so on.

    Raises:
        InputError: there is no such file or folder, or a clip is given twice with the same words.
    """
    found: dict[str, Reference] = {}
    for path, prompt in clips:
        reference = clip_reference(path, prompt)
        if any((each.video, each.prompt) == (reference.video, prompt) for each in found.values()):
            raise InputError(f"clip {path} is given twice with the same words; give it once")
        name, number = reference.name, 1
        while name in found:
            number += 1
            name = f"{reference.name}-{number}"
        found[name] = replace(reference, name=name)
    return list(found.values())


def sprites_references(captions: Sequence[str], *, seed: int, size: int = 64) -> list[Reference]:
    """Render references whose motion is known, one for each caption, which must name a motion.

    A reference's prompt is its caption without the motion: a method is told what moves, not how.

    Raises:
        InputError: a caption is not in the grammar of the sprites world, or names no motion.
    """
    said = [parse_caption(caption) for caption in captions]
    for caption, description in zip(captions, said, strict=True):
        if description.motion is None:
            raise InputError(f"caption {caption!r} names no motion, which a reference is for")
    rendering = render(scenes_of(captions, seed=seed), num_frames=16, height=size, width=size)
    return [
        Reference(
            f"{k:02d}-{description.motion}",
            rendering.video[k],
            caption.rpartition(", ")[0],
            rendering.trajectory[k],
            description,
        )
        for k, (caption, description) in enumerate(zip(captions, said, strict=True))
    ]


def _sampling(method: Method) -> dict[str, Any]:
    """What a form of motion inversion says of its sampling."""
    return {"sampling": dict(method.sampling)} if isinstance(method, Inversion) else {}


def _digest(video: Path | Tensor) -> str:
    digest = hashlib.sha256()
    if isinstance(video, Tensor):
        digest.update(video.detach().float().contiguous().cpu().numpy().tobytes())
    else:
        for file in [video] if video.is_file() else sorted(video.iterdir()):
            if file.is_file():
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
