"""The clips that a recipe asks for: to train on, with augmentation, or to test on, in views."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinema import datasets
from kinema.datasets import ClipDataset, ClipList
from kinema.errors import InputError
from kinema.motion_prompt import FrontEnd
from kinema.recognition.recipe import Recipe
from kinema.sprites import MOTIONS, Nuisances

logger = logging.getLogger(__name__)

SPRITES = "sprites_actions"

_READERS: dict[str, Callable[..., ClipList]] = {
    "hmdb51": datasets.hmdb51,
    "ucf101": datasets.ucf101,
    "finegym": datasets.finegym,
    "mpii_cooking2": datasets.mpii_cooking2,
    "ucf_crime": datasets.ucf_crime,
    "ut_interaction": datasets.ut_interaction,
}
DATASETS = (*_READERS, "folder", "csv", SPRITES)
"""Names that a recipe can give as its data set.

"folder" has a folder for each class in `train` and in `test` below its root, "csv" has the tables
`train.csv` and `test.csv` there, and "sprites_actions" is rendered and needs no root.
"""

_TEST_SUBSETS = {"finegym": "val"}
_SPRITES_SIZES = {"num_clips": 2000, "num_test_clips": 500}
_SPRITES_TEST_SEED = 2**20
"""Test clips are the same whatever the seed of the run."""


@dataclass(frozen=True)
class Source:
    """Clips that were found, and are not yet read.

    classes: their names.
    clips: the list; None for sprites, which are rendered.
    recipe, training: what they were found for.
    """

    classes: tuple[str, ...]
    clips: ClipList | None
    recipe: Recipe
    training: bool

    @property
    def num_missing(self) -> int:
        """How many clips of the official list are not on disk."""
        return 0 if self.clips is None else len(self.clips.missing)

    def name_of(self, index: int) -> str:
        """What the data set calls a clip."""
        return str(index) if self.clips is None else self.clips.clips[index].name

    def digest(self) -> str:
        """Tell clips and classes by their names; "" for sprites, of which the recipe tells all."""
        if self.clips is None:
            return ""
        told = [self.classes, [[clip.name, clip.label] for clip in self.clips.clips]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def dataset(self, front_end: FrontEnd) -> ClipDataset:
        """Return these clips as a data set, normalised as a front end and its backbone want them.

        Raises:
            InputError: a setting is out of range.
        """
        recipe = self.recipe
        shared: dict[str, Any] = {
            "num_frames": recipe.num_clip_frames,
            "size": recipe.size if self.training else recipe.test_size or recipe.size,
            "mean": front_end.mean,
            "std": front_end.std,
            "training": self.training,
        }
        if self.clips is None:
            return _sprites(recipe, shared)
        if not self.training:
            shared |= {"num_views": recipe.num_views, "num_crops": recipe.num_crops}
        return datasets.VideoDataset(
            self.clips,
            frame_stride=recipe.frame_stride or None,
            short_side=recipe.short_side or None,  # type: ignore[arg-type]
            flip=recipe.flip,
            on_error=recipe.on_error,  # type: ignore[arg-type]
            seed=recipe.seed,
            **shared,
        )


def find_clips(recipe: Recipe, root: str | Path | None, *, training: bool) -> Source:
    """Find the clips to train or to test on.

    Args:
        recipe: names the data set and the arguments of its reader.
        root: folder of the videos; sprites need none.
        training: which of the two.

    Raises:
        InputError: the data set is not known or has other arguments, no root is given, files are
            missing, or a class has no clips to train on.
    """
    name = recipe.dataset
    if name not in DATASETS:
        raise InputError(f"dataset {name!r} is not known; choose from {', '.join(DATASETS)}")
    if name == SPRITES:
        classes = recipe.dataset_arguments.get("classes", tuple(MOTIONS))
        if not isinstance(classes, (list, tuple)):
            raise InputError(f"classes is {classes!r}; give a list of motions")
        return Source(tuple(classes), None, recipe, training)
    if root is None:
        raise InputError(f"the recipe is for {name}; say with --data where its videos are")
    if name in _READERS:
        subset = "train" if training else _TEST_SUBSETS.get(name, "test")
        clips = _call(_READERS[name], recipe, recipe.dataset_arguments, root=root, subset=subset)
    else:
        read = {"folder": _folder, "csv": _csv}[name]
        own = {"root": Path(root), "training": training}
        clips = _call(read, recipe, recipe.dataset_arguments, **own)
    if clips.missing:
        logger.warning(
            "%d of the %d clips of %s are not under %s and are left out, %s for example",
            len(clips.missing),
            len(clips.missing) + len(clips),
            clips.name,
            root,
            clips.missing[0],
        )
    if training:
        if emptied := [clips.classes[label] for label in clips.emptied]:
            others = f" and {len(emptied) - 1} others have" if len(emptied) > 1 else " has"
            raise InputError(
                f"the class {emptied[0]!r}{others} no clips under {root} to train on "
                f"({clips.name}); get the missing videos"
            )
        # Gym288 v1.0 has such a class: there is nothing for the user to get.
        if empty := [name for name, count in clips.counts().items() if not count]:
            logger.warning("%s has no clips of %s to train on", clips.name, ", ".join(empty))
    return Source(clips.classes, clips, recipe, training)


def _folder(root: Path, *, training: bool) -> ClipList:
    to_train = datasets.folder(root / "train")
    return to_train if training else datasets.folder(root / "test", classes=to_train.classes)


def _csv(root: Path, *, training: bool) -> ClipList:
    to_train = datasets.csv(root / "train.csv")
    return to_train if training else datasets.csv(root / "test.csv", classes=to_train.classes)


def _sprites(recipe: Recipe, shared: dict[str, Any]) -> ClipDataset:
    arguments: dict[str, Any] = _SPRITES_SIZES | recipe.dataset_arguments
    num_test_clips = arguments.pop("num_test_clips")
    if not shared["training"]:
        arguments["num_clips"] = num_test_clips
    if recipe.num_test_views > 1:
        raise InputError(
            f"num_views is {recipe.num_views} and num_crops {recipe.num_crops}; expected 1 of each "
            f"for {SPRITES}, which are rendered as long and as large as they are seen"
        )
    if recipe.frame_stride not in (0, 1) or recipe.short_side:
        raise InputError(
            f"frame_stride is {recipe.frame_stride:g} and short_side {list(recipe.short_side)}; "
            f"leave them at 1 and out for {SPRITES}, whose every frame is rendered at its size"
        )
    if isinstance(switches := arguments.get("nuisance"), dict):
        arguments["nuisance"] = _call(Nuisances, recipe, switches)
    seed = recipe.seed if shared["training"] else _SPRITES_TEST_SEED
    made: ClipDataset = _call(datasets.SpritesActions, recipe, arguments, **shared, seed=seed)
    return made


def _call(make: Callable[..., Any], recipe: Recipe, table: dict[str, Any], **own: Any) -> Any:
    """Call with a table of the recipe; what is not known, not free or unusable is input's error."""
    try:
        return make(**table, **own)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(
            f"dataset_arguments {recipe.dataset_arguments} do not suit {recipe.dataset}: {error}"
        ) from error
