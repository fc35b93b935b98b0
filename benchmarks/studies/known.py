"""Runs that are known from tables of before, so that a study can go on where its folder is not.

A table has a line for each run that it was made of, with a digest of the run's recipe.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from cells import RESULT, Cell

from kinema.files import replacing
from kinema.recognition import Recipe


def kept(result: dict[str, Any]) -> dict[str, Any]:
    """What a table keeps of a run: its recipe as a digest, its curve of accuracies in hundredths,
    and not its losses."""
    shorter = {"recipe": digest(result["recipe"])}
    if "training_accuracy" in result:
        shorter["training_accuracy"] = [round(value, 2) for value in result["training_accuracy"]]
    return {name: value for name, value in (result | shorter).items() if name != "losses"}


def restore(cells: Iterable[Cell], folder: Path, tables: Sequence[Path]) -> None:
    """Write the results of cells that tables know where a run would write them.

    Cells of another recipe, and those whose weights are needed, are left to be run.
    """
    runs = [run for table in tables for run in json.loads(table.read_text()).get("runs", [])]
    for cell in cells:
        recipe, path = cell.recipe.as_dict(), folder / cell.name / RESULT
        wanted = cell.of | {"recipe": digest(recipe)}
        found = [run for run in runs if wanted.items() <= run.items()]
        if not found or cell.keep or path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(found[0] | {"recipe": recipe}, indent=2) + "\n")


def digest(recipe: dict[str, Any]) -> str:
    """Tell recipes apart, whatever settings with defaults are yet to come.

    Where a start lies is not part of it, but which one it is.
    """
    # As JSON has them: a run's recipe was read from there, a cell's was not, and has tuples.
    recipe = json.loads(json.dumps(recipe))
    defaults = {
        field.name: json.loads(json.dumps(field.default))
        for field in fields(Recipe)
        if field.default is not MISSING
    }
    told = {name: value for name, value in recipe.items() if value != defaults.get(name, MISSING)}
    if "start" in told:
        told["start"] = Path(told["start"]).name
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
