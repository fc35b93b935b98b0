"""Recipes: the settings of one fine-tuning run, in a TOML file."""

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from kinema.errors import InputError
from kinema.precision import PRECISIONS
from kinema.recognition.settings import set_value, typed

OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "steps")
ON_ERROR = ("fail", "skip")

_CHOICES = {
    "optimiser": OPTIMISERS,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
    "on_error": ON_ERROR,
}
_LOWEST = {
    "num_frames": 1,
    "frame_stride": 0,
    "size": 8,
    "test_size": 8,
    "num_views": 1,
    "num_crops": 1,
    "num_epochs": 1,
    "batch_size": 1,
    "accumulation": 1,
    "seed": 0,
    "num_workers": 0,
    "num_warmup_epochs": 0,
    "epochs_between_tests": 0,
    "steps_between_checkpoints": 1,
    "learning_rate": 0,
    "prompt_learning_rate": 0,
    "weight_decay": 0,
    "penalty": 0,
}


@dataclass(frozen=True)
class Recipe:
    """Settings of one run.

    Attributes:
        dataset: a name of `kinema.recognition.DATASETS`.
        dataset_arguments: of its reader, such as `split`; the folder of the videos is no setting
            and is given apart.
        backbone: a name of `kinema.backbones`.
        backbone_sizes: other sizes than its usual ones, such as `width`.
        front_end: a name of `kinema.recognition.FRONT_ENDS`: "frames" (the plain ones),
            "motion-prompt", "difference" (raw differences of frames) or "attention-maps" (ours: the
            attention in the frames' place; `penalty` and `normalisation` are the prompt's alone).
        pathways: of SlowFast, that see what the front end makes: "slow", "fast" or "both".
        normalisation: power normalisation of the prompt, a name of
            `kinema.recognition.NORMALISATIONS`.
        normalisation_arguments: of that class, such as `m` and `n`, or `exponent`.
        penalty: lambda, weight of the prompt's temporal attention variation in the loss.
        trains: what learns: "all", or some of "prompt", "backbone" and "head" joined by "+", see
            `kinema.motion_prompt.trainable`.
        start: first weights: "" for none, "k400" for the published ones, a file of weights of the
            backbone, the folder of another run, or an id on the Hugging Face hub.
        num_frames: frames T that the backbone takes. T + 1 are read from the video: a motion
            prompt and a difference use one up, and plain frames drop the first.
        frame_stride: frames of the video from one frame of the clip to the next; 0 spreads the
            frames over the whole video.
        size: side of the square crops in pixels.
        short_side: least and greatest shorter side to which frames are resized in training
            before they are cropped; by default as `kinema.datasets.augmentation` has it.
        flip: mirror half of the clips in training; no, where left and right make classes.
        test_size: side of the crops in evaluation; None for `size`. A network of convolutions takes
            another than it learned with.
        num_views: clips spread over a video in evaluation.
        num_crops: crops spread over the longer side of each in evaluation, 1 to 3.
        optimiser: "sgd" (momentum) or "adamw".
        learning_rate: of the backbone, at its highest.
        prompt_learning_rate: of the prompt's numbers; None for that of the backbone.
        momentum: of SGD.
        weight_decay: of the backbone; the prompt has none.
        gradient_clip: largest norm of the gradient, None for no limit.
        schedule: "cosine" (half a wave down to zero) or "steps".
        step_epochs: epochs at which the learning rate changes, counted from 0, for "steps".
        step_rates: from each of those on, the learning rate as a share of `learning_rate`.
        num_warmup_epochs: over which the learning rate rises from zero, a straight line.
        num_epochs: passes over the training clips.
        batch_size: clips that one process takes at a time.
        accumulation: batches whose gradients are summed up before a step. One step sees
            `batch_size * accumulation *` number of processes clips.
        precision: "fp32", or "bf16" (autocast; needs no scaling of the loss).
        ema_decay: decay a step of a moving average of the weights, which is then what is kept;
            None for no average.
        seed: of new weights, order of clips, augmentation and dropout.
        num_workers: processes that read clips; they change nothing in the result.
        on_error: "fail" on a video that cannot be read, or "skip" it and count it.
        epochs_between_tests: accuracy on the test clips, in their middle view and crop, after so
            many epochs and after the last; 0 for never.
        steps_between_checkpoints: optimiser steps.
    """

    dataset: str
    backbone: str
    num_frames: int
    frame_stride: float
    size: int
    num_epochs: int
    batch_size: int
    learning_rate: float
    dataset_arguments: dict[str, Any] = field(default_factory=dict)
    backbone_sizes: dict[str, Any] = field(default_factory=dict)
    front_end: str = "motion-prompt"
    pathways: str = "both"
    normalisation: str = "learnable"
    normalisation_arguments: dict[str, Any] = field(default_factory=dict)
    penalty: float = 1.0
    trains: str = "all"
    start: str = ""
    short_side: tuple[int, ...] = ()
    flip: bool = True
    test_size: int | None = None
    num_views: int = 1
    num_crops: int = 1
    optimiser: str = "sgd"
    prompt_learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float = 1e-4
    gradient_clip: float | None = None
    schedule: str = "cosine"
    step_epochs: tuple[int, ...] = ()
    step_rates: tuple[float, ...] = ()
    num_warmup_epochs: float = 0.0
    accumulation: int = 1
    precision: str = "fp32"
    ema_decay: float | None = None
    seed: int = 0
    num_workers: int = 2
    on_error: str = "fail"
    epochs_between_tests: int = 0
    steps_between_checkpoints: int = 500

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(
                self, each.name, typed(each.name, each.type, getattr(self, each.name))
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}; choose from {', '.join(choices)}"
                )
        for name, lowest in _LOWEST.items():
            value = getattr(self, name)
            if value is not None and not value >= lowest:
                raise InputError(f"{name} is {value}; give {lowest} or more")
        if self.seed >= 2**63:
            raise InputError(f"seed is {self.seed}; give less than 2 to the power of 63")
        try:
            json.dumps(self.as_dict(), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"a setting cannot be written down ({error}); give words, finite numbers, lists "
                "and tables of them"
            ) from error
        for name in ("momentum", "ema_decay"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise InputError(f"{name} is {value}; give 0 or more and less than 1")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise InputError(f"gradient_clip is {self.gradient_clip}; give more than 0")
        if self.num_warmup_epochs >= self.num_epochs:
            raise InputError(
                f"num_warmup_epochs is {self.num_warmup_epochs}; give less than num_epochs, "
                f"{self.num_epochs}"
            )
        if self.num_crops > 3:
            raise InputError(f"num_crops is {self.num_crops}; give 1 (the middle) to 3")
        if self.short_side and len(self.short_side) != 2:
            raise InputError(f"short_side is {list(self.short_side)}; give two lengths in pixels")
        if len(self.step_epochs) != len(self.step_rates) or (
            list(self.step_epochs) != sorted(set(self.step_epochs))
        ):
            raise InputError(
                f"step_epochs is {list(self.step_epochs)} and step_rates {list(self.step_rates)}; "
                "give rising epochs and a rate for each"
            )
        if self.step_epochs and self.schedule != "steps":
            raise InputError(
                f"step_epochs is {list(self.step_epochs)} and schedule {self.schedule!r}; they are "
                'of the schedule "steps"'
            )

    @property
    def num_clip_frames(self) -> int:
        """Frames read from a video for one clip, T + 1; every front end uses up one."""
        return self.num_frames + 1

    @property
    def num_test_views(self) -> int:
        """Views and crops of a video in evaluation, which the model sees together."""
        return self.num_views * self.num_crops

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values, for JSON."""
        return dataclasses.asdict(self)


def recipe_names() -> list[str]:
    """Names of the recipes that Kinema ships."""
    folder = files("kinema.recognition") / "recipes"
    return sorted(
        file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")
    )


def read_recipe(source: str | Path, *, settings: Iterable[str] = ()) -> Recipe:
    """Read a recipe from a TOML file, or one that Kinema ships by its name.

    Args:
        source: path that ends in `.toml`, or a name of `recipe_names()`.
        settings: others than in the file, each "key=value" with the value in TOML; a bare word is
            taken as a string, and "key.part=value" sets one entry of a table.

    Raises:
        InputError: there is no such recipe, it is not TOML, or a setting is missing, unknown, of
            another type or out of range.
    """
    path = Path(source)
    named = files("kinema.recognition") / "recipes" / f"{source}.toml"
    if path.suffix != ".toml" and str(source) not in recipe_names():
        raise InputError(
            f"there is no recipe {source}; give the path of a TOML file or one of "
            f"{', '.join(recipe_names())}"
        )
    try:
        text = (path if path.suffix == ".toml" else named).read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no recipe {source}; give the path of a TOML file or one of "
            f"{', '.join(recipe_names())}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"recipe {source} is not TOML: {error}") from error
    for setting in settings:
        set_value(values, setting)
    return recipe_of(values, name=str(source))


def recipe_of(values: dict[str, Any], *, name: str) -> Recipe:
    """Make a recipe of plain values; `name` stands for it in errors.

    Raises:
        InputError: a setting is missing, unknown, of another type or out of range.
    """
    known = {each.name: each for each in fields(Recipe)}
    if unknown := sorted(set(values) - set(known)):
        raise InputError(
            f"recipe {name} has unknown settings {', '.join(unknown)}; known are "
            f"{', '.join(sorted(known))}"
        )
    required = [
        key
        for key, each in known.items()
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]
    if missing := [key for key in required if key not in values]:
        raise InputError(f"recipe {name} lacks {', '.join(missing)}; add what is missing")
    return Recipe(**values)
