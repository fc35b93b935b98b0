"""Tables of a study: accuracies by what is studied, mean and spread over seeds."""

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from known import kept

from kinema.files import replacing
from kinema.measure.machine import machine
from kinema.sprites.training.loop import commit_of_tree


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
                "num_runs": len(cells),
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


def write(path: Path, made: Sequence[dict[str, Any]], results: Sequence[dict[str, Any]]) -> None:
    """Write the table, the runs that it is made of, and the command that made them."""
    report = {
        "command": _command(sys.argv),
        "commit": commit_of_tree(),
        "machine": machine(torch.device("cpu")),
        "rows": list(made),
    }
    runs = ",\n".join(f"    {json.dumps(kept(result))}" for result in results)  # a line each
    text = json.dumps(report, indent=2).removesuffix("\n}")
    with replacing(path) as temporary:
        temporary.write_text(f'{text},\n  "runs": [\n{runs}\n  ]\n}}\n')


def _command(argv: Sequence[str]) -> str:
    """What was typed, without the folders of this machine."""
    options = [Path(each).name if Path(each).is_absolute() else each for each in argv[1:]]
    said = ["python", f"benchmarks/studies/{Path(argv[0]).name}", *options]
    places = {"--data": "DIR", "--folder": "study"}
    for place, option in enumerate(argv[:-1], start=1):
        if option in places:
            said[place + 1] = places[option]
    return shlex.join(said)
