"""The cells of a study: runs that differ in what is studied, each trained and scored once."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinema.errors import InputError
from kinema.files import replacing
from kinema.recognition import Recipe, evaluate, finetune

RESULT = "result.json"
_FRONT_ENDS = {"prompt": "motion-prompt", "dark prompt": "motion-prompt"}
_HEAVY = ("checkpoint.safetensors", "backbone.safetensors", "prompt.safetensors")


@dataclass(frozen=True)
class Cell:
    """One run: what it stands for in the tables, and its recipe.

    Attributes:
        of: names and values that tell cells apart, such as {"backbone": "x3d_s", "fold": "0"}.
        recipe: to train it by.
        keep: the weights, since other cells start from them.
    """

    of: dict[str, Any]
    recipe: Recipe
    keep: bool = False

    @property
    def name(self) -> str:
        """A folder name."""
        return "_".join(str(value).replace("/", "-") for value in self.of.values())


def run_cell(cell: Cell, folder: Path, *, data: Path | None) -> dict[str, Any]:
    """Train and score a cell in a folder of its own below `folder`, or read what it scored."""
    run = folder / cell.name
    if (run / RESULT).exists():
        result: dict[str, Any] = json.loads((run / RESULT).read_text())
        if result["recipe"] != json.loads(json.dumps(cell.recipe.as_dict())):
            raise InputError(f"{run} holds a run of another recipe; give another folder")
        return result
    summary = finetune(cell.recipe, run, data=data, resume=True, device="cpu")
    evaluation = evaluate(run, device="cpu")
    last = summary["last_epoch"]
    result = {
        **cell.of,
        "accuracy": evaluation.scores.as_dict()["top1"],
        "num_test_clips": len(evaluation.prediction.labels),
        "class_accuracy": evaluation.as_dict()["class_accuracy"],
        "learned": {key: value for key, value in last.items() if key.startswith("prompt_")},
        "seconds": summary["seconds"],
        "recipe": cell.recipe.as_dict(),
    }
    with replacing(run / RESULT) as path:
        path.write_text(json.dumps(result, indent=2) + "\n")
    if not cell.keep:
        for name in _HEAVY:
            (run / name).unlink(missing_ok=True)
    return result


def with_front_end(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe with a front end by its name here.

    "prompt, lambda 1" sets the penalty; "dark prompt, lambda 1" has attention of .02 at rest to
    begin with, whatever the recipe has.
    """
    front_end, _, penalty = name.partition(", lambda ")
    made = replace(recipe, front_end=_FRONT_ENDS.get(front_end, front_end))
    if front_end == "dark prompt":
        made = replace(made, normalisation_arguments={"m": 0.1, "n": 0.2})
    return replace(made, penalty=float(penalty)) if penalty else made
