"""Recipes: the settings of one training stage, in a TOML file."""

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_type_hints

from kinema.errors import InputError
from kinema.precision import check_precision
from kinema.sprites.models import MAX_FRAMES, NUM_FRAMES
from kinema.sprites.words import BACKGROUNDS, COLOURS, MOTIONS, SHAPES

STAGES = ("autoencoder", "text-to-image", "motion-words", "animatediff", "text-to-video")
"""In the order in which they are trained: each needs those before it, but for the last, which takes
its image layers from AnimateDiff's where that is trained and from text-to-image where not."""

VIDEO_STAGES = STAGES[3:]
_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    tuple[int, ...]: "a list of whole numbers",
}
"""Types of settings, as a reader of TOML knows them."""


def _between(low: float, high: float) -> Callable[[float], bool]:
    return lambda value: low <= value <= high


_RANGES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("num_steps", "batch_size", "num_videos", "steps_between_checkpoints"),
        ("1 or more", _between(1, math.inf)),
    ),
    **dict.fromkeys(("num_warmup_steps", "num_clock_steps"), ("0 or more", _between(0, math.inf))),
    # Each step has a seed of its own, of 64 bits, made of it.
    "seed": ("from 0 to 549755813887", _between(0, 2**39 - 1)),
    **dict.fromkeys(
        ("weight_decay", "spatial_rate", "last_timestep_shift"),
        ("a number from 0 up", lambda value: 0 <= value < math.inf),
    ),
    **dict.fromkeys(
        ("learning_rate", "gradient_clip", "timestep_shift"),
        ("a number above 0", lambda value: 0 < value < math.inf),
    ),
    **dict.fromkeys(("beta2", "ema_decay"), ("0 or more, below 1", lambda value: 0 <= value < 1)),
    **dict.fromkeys(
        ("wander_share", "caption_dropout", "motion_share"), ("a share from 0 to 1", _between(0, 1))
    ),
    "phase_spread": ("a share of the cycle above 0, to 1", lambda value: 0 < value <= 1),
}
"""What each number is to be, in words and in code."""


@dataclass(frozen=True)
class Recipe:
    """Settings of one stage.

    Attributes:
        stage: one of `STAGES`.
        seed: of weights, data and noise.
        num_steps: optimiser steps.
        batch_size: images, or videos for the video stages.
        learning_rate: at its highest, after `num_warmup_steps`.
        num_warmup_steps: steps over which the learning rate rises.
        num_decay_steps: last steps, over which it falls to zero, a straight line; before them it is
            level, so that a run which has not come to them can be made longer. 0 stands for half a
            cosine over the whole run.
        beta2: AdamW's decay of the squared gradient.
        weight_decay: AdamW's.
        gradient_clip: largest norm of the gradient.
        ema_decay: decay a step of the moving average of the weights, which is what is kept.
        precision: "bf16" (autocast) or "fp32".
        num_videos: size of the pool of encoded videos that the latent stages learn from.
        emphasis: words of that pool, or of the autoencoder's frames, that come twice as often as
            others of their kind, or three times where given twice, and so on.
        phase_spread: share of a cycle in which its cyclic motions begin, in (0, 1]. A circle that
            begins anywhere has no mean, and a model that starts from noise starts from means: one
            that begins in nearly one place it learns as easily as a straight way.
        wander_share: of that pool's videos, in which the sprite goes a way that has no name
            (`sample_scenes`). Named ways alone teach a model that there are eight headings and
            one speed, and between two of them it then decides for one.
        num_frames: lengths of its videos, each in an equal share of them, or in twice that where
            given twice. A model that has seen one length goes astray in another.
        caption_dropout: share of captions left empty, for classifier-free guidance.
        motion_share: share of captions that name the motion.
        timestep_shift: s in t' = s t / (1 + (s - 1) t), which moves the uniform noise levels
            t in [0, 1] towards noise. Sixteen frames show what one cannot: a video is known at
            levels where an image is lost, and there it is decided what moves where.
        spatial_rate: learning rate of the video stages' own copy of the image model's layers, as
            a share of `learning_rate`; 0 keeps them as they are. Those that read the text always
            learn at the full rate.
        last_timestep_shift: to which the shift goes while the learning rate falls
            (`num_decay_steps`): motion is decided near noise, detail far from it. 0 keeps it.
        start: "" for an autoencoder from nothing and a video stage that begins from the image
            model, or weights from which it goes on: "kinema" for those that come with Kinema, else
            a folder.
        new_clock: whether the motion modules in `start`, down to the middle, get a clock as new
            ones have it (`models.give_clock`).
        num_clock_steps: first steps of text-to-video, in which only its temporal convolutions
            learn, and only which frame is which (`FrameClock`).
        steps_between_checkpoints: and samples.
    """

    stage: str
    seed: int
    num_steps: int
    batch_size: int
    learning_rate: float
    num_warmup_steps: int = 100
    num_decay_steps: int = 0
    beta2: float = 0.999
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema_decay: float = 0.999
    precision: str = "bf16"
    num_videos: int = 8192
    emphasis: tuple[str, ...] = ()
    phase_spread: float = 1.0
    wander_share: float = 0.0
    num_frames: tuple[int, ...] = (NUM_FRAMES,)
    caption_dropout: float = 0.1
    motion_share: float = 1 / 3
    timestep_shift: float = 1.0
    spatial_rate: float = 0.0
    last_timestep_shift: float = 0.0
    start: str = ""
    new_clock: bool = False
    num_clock_steps: int = 0
    steps_between_checkpoints: int = 250

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise InputError(f"stage {self.stage!r} is not one of {', '.join(STAGES)}")
        check_precision(self.precision)
        for name, (expected, fine) in _RANGES.items():
            if not fine(getattr(self, name)):
                raise InputError(f"{name} is {getattr(self, name)}; give {expected}")
        object.__setattr__(self, "emphasis", tuple(self.emphasis))  # TOML and JSON have lists
        known = (*COLOURS, *SHAPES, *BACKGROUNDS, *MOTIONS)
        if unknown := [word for word in self.emphasis if word not in known]:
            raise InputError(f"emphasis {unknown}; choose from {', '.join(known)}")
        object.__setattr__(self, "num_frames", tuple(self.num_frames))
        if not self.num_frames or any(not 2 <= length <= MAX_FRAMES for length in self.num_frames):
            raise InputError(
                f"num_frames is {list(self.num_frames)}; give lengths from 2 to {MAX_FRAMES}"
            )
        if self.num_clock_steps and set(self.num_frames) != {NUM_FRAMES}:
            raise InputError(
                f"num_clock_steps is {self.num_clock_steps} and num_frames "
                f"{list(self.num_frames)}; the clock is set on {NUM_FRAMES} frames: leave one out"
            )
        if self.start and self.stage not in ("autoencoder", *VIDEO_STAGES):
            raise InputError(
                f"stage {self.stage!r} cannot start from weights; leave out start, or train one of "
                f"autoencoder, {', '.join(VIDEO_STAGES)}"
            )
        if self.num_clock_steps and self.stage != "text-to-video":
            raise InputError(
                f"only text-to-video has clock steps; leave out num_clock_steps for stage "
                f"{self.stage!r}"
            )
        if self.new_clock and not (self.stage == "animatediff" and self.start):
            raise InputError("only animatediff that starts from weights takes new_clock")
        if not 0 <= self.num_decay_steps <= self.num_steps:
            raise InputError(
                f"num_decay_steps is {self.num_decay_steps}; give 0 to num_steps ({self.num_steps})"
            )

    def timestep_shift_at(self, step: int) -> float:
        """Return the shift of noise levels at a step: level, then a geometric way to the last."""
        fallen = step - self.num_level_steps
        if not self.last_timestep_shift or not self.num_decay_steps or fallen <= 0:
            return self.timestep_shift
        ratio = self.last_timestep_shift / self.timestep_shift
        return float(self.timestep_shift * ratio ** min(1.0, fallen / self.num_decay_steps))

    @property
    def num_level_steps(self) -> int:
        """Steps before the learning rate begins to fall; 0 where it falls from the start."""
        return self.num_steps - self.num_decay_steps if self.num_decay_steps else 0


def read_recipe(path: str | Path | None = None, *, stage: str | None = None) -> Recipe:
    """Read a recipe from a TOML file, or the one that Kinema ships for `stage`.

    Raises:
        InputError: no such file, not TOML, or a setting is missing, unknown or out of range.
    """
    if path is None:
        if stage not in STAGES:
            raise InputError(f"stage {stage!r} is not one of {', '.join(STAGES)}")
        source = files("kinema.sprites") / "recipes" / f"{stage}.toml"
    else:
        source = Path(path)
    try:
        settings = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no recipe {path}; give the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {path} is not TOML: {error}") from error
    hints = get_type_hints(Recipe)
    if unknown := sorted(set(settings) - set(hints)):
        raise InputError(f"recipe {path} has unknown settings {unknown}; known are {sorted(hints)}")
    for name, value in settings.items():
        if not _is_of(value, hints[name]):
            raise InputError(f"recipe {path} has {name} = {value!r}; give {_KINDS[hints[name]]}")
    try:
        recipe = Recipe(**settings)
    except TypeError as error:
        raise InputError(f"recipe {path} is incomplete: {error}") from error
    if stage is not None and recipe.stage != stage:
        raise InputError(f"recipe {path} is for stage {recipe.stage!r}, not {stage!r}")
    return recipe


def _is_of(value: Any, kind: Any) -> bool:
    """Return whether a value of TOML is one of `_KINDS`."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float)
    if kind in (int, str):
        return isinstance(value, kind)
    if not isinstance(value, list):
        return False
    (of, _) = get_args(kind)
    return all(_is_of(each, of) for each in value)
