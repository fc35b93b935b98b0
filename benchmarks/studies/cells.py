"""The cells of a study: runs that differ in what is studied, each trained and scored once.

A study is killed and started again at will: finished cells are not run again, an unfinished one
goes on from its checkpoint. Several processes may share a study (`--share 1/2`, `--share 2/2`).
With `--drawn`, and on a GPU, clips are decoded once for all runs (`side_by_side`); an unfinished
run then begins anew.
"""

import argparse
import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from kinema.errors import InputError
from kinema.files import replacing
from kinema.recognition import Recipe, evaluate, finetune
from kinema.recognition.data import SPRITES

RESULT = "result.json"
_HEAVY = ("checkpoint.safetensors", "backbone.safetensors", "prompt.safetensors")


@dataclass(frozen=True)
class Cell:
    """One run: what it stands for in the tables, and its recipe.

    Attributes:
        of: names and values that tell cells apart, such as {"backbone": "x3d_s", "fold": "0"}.
        recipe: to train it by.
        keep: the weights, since other cells start from them or pictures are made of them.
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


def parse(description: str | None, add: Callable[[argparse.ArgumentParser], None]) -> Any:
    """Parse the arguments that all studies have, and those that `add` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, required=True, help="of the runs; goes on there")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", default="1/1", metavar="I/N", help="of the cells, such as 1/2")
    parser.add_argument("--json", type=Path, help="where the table goes when all cells are there")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--drawn", action="store_true", help="on a CPU too, decode all clips once for all runs"
    )
    parser.add_argument("--width", type=int, default=8, help="runs beside each other on a GPU")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="that draw clips")
    add(parser)
    return parser.parse_args()


def run_study(
    cells: Sequence[Cell], arguments: Any, *, data: Path | None, starts: Sequence[Cell] = ()
) -> list[dict[str, Any]]:
    """Run this process's share of the cells; return the results of all that are finished.

    `starts` are cells that others begin from, in an order in which they can be run.
    """
    paths = [arguments.folder / cell.name / RESULT for cell in cells]
    index, count = (int(part) for part in arguments.share.split("/"))
    mine = [cell for place, cell in enumerate(cells) if place % count == index - 1]
    torch.set_num_threads(arguments.threads)
    if arguments.device == "cuda" or arguments.drawn:
        from side_by_side import run_side_by_side

        run_side_by_side(
            [*starts, *mine],
            arguments.folder,
            data=data,
            device=arguments.device,
            width=arguments.width if arguments.device == "cuda" else 1,
            num_processes=arguments.processes,
        )
        return [json.loads(path.read_text()) for path in paths if path.exists()]
    for cell in starts:
        run_cell(cell, arguments.folder, data=None if cell.recipe.dataset == SPRITES else data)
    for done, cell in enumerate(mine, start=1):
        result = run_cell(cell, arguments.folder, data=data)
        scored = f"{result['accuracy']:.1%} in {result['seconds']:.0f} s"
        print(f"{done}/{len(mine)} {cell.name}: {scored}", flush=True)
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def table(
    results: Iterable[dict[str, Any]], *, rows: Sequence[str], over: Sequence[str]
) -> list[dict[str, Any]]:
    """Average accuracies: a row for each value of `rows`, mean and spread over seeds.

    Within a seed the cells that differ in `over`, such as folds, are pooled by their clips.
    """
    groups: dict[tuple[Any, ...], dict[int, list[dict[str, Any]]]] = {}
    for result in results:
        key = tuple(result[name] for name in rows)
        groups.setdefault(key, {}).setdefault(result["seed"], []).append(result)
    made = []
    for key, seeds in groups.items():
        pooled = [
            sum(r["accuracy"] * r["num_test_clips"] for r in parts)
            / sum(r["num_test_clips"] for r in parts)
            for parts in seeds.values()
        ]
        cells = [result for parts in seeds.values() for result in parts]
        learned = {
            name: fmean(cell["learned"][name] for cell in cells)
            for name in cells[0]["learned"]
            if all(isinstance(cell["learned"].get(name), float) for cell in cells)
        }
        made.append(
            {
                **dict(zip(rows, key, strict=True)),
                "accuracy": fmean(pooled),
                "spread": stdev(pooled) if len(pooled) > 1 else 0.0,
                "seeds": pooled,
                "pooled_over": {name: sorted({str(c[name]) for c in cells}) for name in over},
                "learned": learned,
                "seconds_a_run": fmean(cell["seconds"] for cell in cells),
            }
        )
    return made


def show(made: Sequence[dict[str, Any]], *, rows: Sequence[str]) -> None:
    """Print a table."""
    for row in made:
        said = "  ".join(f"{row[name]!s:14}" for name in rows)
        learned = row["learned"]
        numbers = [f"{name[7:]} {learned[name]:.2f}" for name in sorted(learned)][:6]
        print(f"{said} {row['accuracy']:6.1%} +- {row['spread']:5.1%}  {', '.join(numbers)}")


def write(path: Path, made: Sequence[dict[str, Any]], *, command: str) -> None:
    """Write the table with what made it."""
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    report = {
        "command": command,
        "commit": commit.stdout.strip() or None,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rows": list(made),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")


def with_front_end(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe with a front end by its name here: "prompt, lambda 1" sets the penalty."""
    front_end, _, penalty = name.partition(", lambda ")
    known = {"frames": "frames", "difference": "difference", "prompt": "motion-prompt"}
    made = replace(recipe, front_end=known.get(front_end, front_end))
    return replace(made, penalty=float(penalty)) if penalty else made
