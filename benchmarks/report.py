"""What every benchmark writes with `--json`: its figures, and what they were made by."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from kinema.files import replacing
from kinema.measure.machine import machine
from kinema.sprites.training.loop import commit_of_tree

# Not that of the end: a run of hours may see commits that it does not have.
BEGUN_AT = commit_of_tree()


def write_report(path: Path, *, device: torch.device | str = "cpu", **figures: Any) -> None:
    """Write figures by name as JSON, behind the command, the commit and the machine.

    Args:
        path: of the file, which is replaced at once.
        device: that the work ran on.
        figures: plain JSON values, such as `rows=[...]`.
    """
    report = {
        "command": command(sys.argv),
        "commit": BEGUN_AT,
        "machine": machine(torch.device(device)),
        **figures,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def command(argv: Sequence[str]) -> str:
    """Return what was typed, without the folders of this machine."""
    script, *options = argv
    said = [Path(each).name if Path(each).is_absolute() else each for each in options]
    return shlex.join(["python", f"benchmarks/{Path(script).name}", *said])
