"""A study: its arguments, and running those of its cells that are not finished.

A study is killed and started again at will: finished cells are not run again, an unfinished one
goes on from its checkpoint. Several processes may share a study (`--share 1/2`, `--share 2/2`);
each trains the starts that are not there, so let one finish them before the next begins.
With `--drawn`, and on a GPU, clips are decoded once for all runs (`side_by_side`); an unfinished
run then begins anew. Where the folder is not at hand any more, `--known TABLE.json` has what it
had.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from cells import RESULT, Cell, run_cell
from known import restore

from kinema.recognition.data import SPRITES


def parse(description: str | None, add: Callable[[argparse.ArgumentParser], None]) -> Any:
    """Parse the arguments that all studies have, and those that `add` adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, required=True, help="of the runs; goes on there")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--share", default="1/1", metavar="I/N", help="of the cells, such as 1/2")
    parser.add_argument("--json", type=Path, help="where the table goes")
    parser.add_argument(
        "--known", type=Path, nargs="+", default=[], help="tables of before; their runs are not run"
    )
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
    restore(cells, arguments.folder, arguments.known)
    unfinished = [cell for cell in mine if not (arguments.folder / cell.name / RESULT).exists()]
    starts = starts if unfinished else []
    if arguments.device == "cuda" or arguments.drawn:
        from side_by_side import run_side_by_side

        # A start may be one of the cells, too.
        run_side_by_side(
            list({cell.name: cell for cell in [*starts, *mine]}.values()),
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
