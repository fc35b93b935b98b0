"""What a finished run says of itself in one look."""

from pathlib import Path
from typing import Any

from torch import nn

from kinema.lines import read_lines
from kinema.recognition.journal import EPOCHS, METRICS


def summary_of(
    folder: Path,
    model: nn.Module,
    *,
    num_steps: int,
    num_clips: int,
    num_missing_clips: int,
    num_classes: int,
    num_processes: int,
    device: str,
) -> dict[str, Any]:
    """Sum up a run from its journal in `folder`; times are in seconds, shares in [0, 1]."""
    steps, epochs = (read_lines(folder / name) for name in (METRICS, EPOCHS))
    seconds = sum(line["seconds"] for line in steps)
    parameters = list(model.parameters())
    return {
        "num_steps": num_steps,
        "num_clips": num_clips,
        "num_missing_clips": num_missing_clips,
        "num_classes": num_classes,
        "num_parameters": sum(each.numel() for each in parameters),
        "num_trained_parameters": sum(e.numel() for e in parameters if e.requires_grad),
        "num_processes": num_processes,
        "device": device,
        "seconds": seconds,
        "share_waiting_for_data": sum(e["seconds_waited"] for e in steps) / max(seconds, 1e-9),
        "broken_clips": list(dict.fromkeys(e for line in epochs for e in line["broken_clips"])),
        "last_epoch": epochs[-1],
    }
