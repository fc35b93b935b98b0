"""What a run writes down as it goes: a line of JSON a step and an epoch, and TensorBoard's log."""

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

from kinema.files import replacing
from kinema.lines import read_lines

METRICS = "metrics.jsonl"
EPOCHS = "epochs.jsonl"


class Journal:
    """Lines of a run, cut back to a step when the run goes on from it.

    `metrics.jsonl` has a line for each step, `epochs.jsonl` one for each epoch. Where TensorBoard
    is installed its log goes to `tensorboard/`.

    Args:
        folder: of the run.
        step: last step that counts; lines of later ones, which a killed run may have left, go.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        self.folder = folder
        for name in (METRICS, EPOCHS):
            lines = [line for line in read_lines(folder / name) if line["step"] <= step]
            with replacing(folder / name) as path:
                path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self._files = {name: (folder / name).open("a") for name in (METRICS, EPOCHS)}
        self._board = _board(folder, step=step)

    def add_step(self, line: dict[str, Any]) -> None:
        """Write the line of a step; it has the key "step"."""
        self._write(METRICS, "step", line)

    def add_epoch(self, line: dict[str, Any]) -> None:
        """Write the line of an epoch; it has the keys "step" and "epoch"."""
        self._write(EPOCHS, "epoch", line)

    def means(self, names: Iterable[str], *, num_steps: int) -> dict[str, float]:
        """Return the means of values over the last steps."""
        lines = read_lines(self.folder / METRICS)[-num_steps:]
        return {name: fmean(line[name] for line in lines) for name in names}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
        if self._board is not None:
            self._board.close()

    def _write(self, name: str, group: str, line: dict[str, Any]) -> None:
        self._files[name].write(json.dumps(line) + "\n")
        self._files[name].flush()
        if self._board is not None:
            for key, value in line.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{group}/{key}", value, line["step"])


def _board(folder: Path, *, step: int) -> Any:
    """Return TensorBoard's writer, None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(folder / "tensorboard", purge_step=step + 1)
