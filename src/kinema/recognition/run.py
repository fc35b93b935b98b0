"""The folder of a run: what it was made by, what it learned, how it went."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from kinema.errors import InputError
from kinema.files import replacing
from kinema.motion_prompt import MotionPromptClassifier
from kinema.recognition.model import BACKBONE, CONFIG, PROMPT, new_model
from kinema.recognition.recipe import Recipe, recipe_of

RUN = "run.json"
SUMMARY = "summary.json"


@dataclass(frozen=True)
class Run:
    """A run: its folder, settings, names of the classes, and where its clips were."""

    folder: Path
    recipe: Recipe
    classes: tuple[str, ...]
    data: str | None


def describe_run(run: Run) -> None:
    """Write `run.json`."""
    content = {
        "kinema": version("kinema"),
        "recipe": run.recipe.as_dict(),
        "classes": list(run.classes),
        "data": run.data,
    }
    with replacing(run.folder / RUN) as path:
        path.write_text(json.dumps(content, indent=2) + "\n")


def forget_weights(folder: Path) -> None:
    """Remove what another run, that was begun in this folder, has left of learned weights."""
    for name in (BACKBONE, CONFIG, PROMPT, SUMMARY):
        (folder / name).unlink(missing_ok=True)


def read_run(folder: str | Path) -> Run:
    """Read what a run was made by.

    Raises:
        InputError: the folder holds no run.
    """
    path = Path(folder) / RUN
    try:
        content = json.loads(path.read_text())
        return Run(
            folder=Path(folder),
            recipe=recipe_of(content["recipe"], name=str(path)),
            classes=tuple(content["classes"]),
            data=content["data"],
        )
    except FileNotFoundError as error:
        raise InputError(
            f"{folder} holds no run ({RUN} is missing); give the folder of `kinema finetune`"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a run: {error}") from error


def check_finished(run: Run) -> None:
    """Pass a run that has kept what it learned.

    Raises:
        InputError: the run is not finished.
    """
    if not (run.folder / BACKBONE).exists():
        raise InputError(
            f"{run.folder} holds no finished run ({BACKBONE} is missing); let "
            f"`kinema finetune --resume` finish it"
        )


def load_model(run: Run) -> MotionPromptClassifier:
    """Return the finished model of a run, on the CPU.

    Raises:
        InputError: the run is not finished, or its weights do not fit its recipe.
    """
    check_finished(run)
    return new_model(run.recipe, num_classes=len(run.classes), start=str(run.folder))
