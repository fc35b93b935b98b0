"""Pictures of an evaluation and of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMES = 60
"""More classes than this are drawn without their names, which could not be read."""


def draw_confusion(path: Path, confusion: Tensor, classes: Sequence[str]) -> None:
    """Draw a confusion matrix (K, K) as shares of each true class."""
    shares = confusion.double() / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    side = min(14.0, 3.0 + 0.35 * len(classes))
    figure, axes = _new_figure(side, side)
    image = axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="Blues")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(classes) <= _MOST_NAMES:
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=7, parse_math=False)
        axes.set_yticks(range(len(classes)), classes, fontsize=7, parse_math=False)
    figure.savefig(path)


def draw_differences(path: Path, differences: Mapping[str, float | None]) -> None:
    """Draw the difference of accuracy in each class, the largest gain on top."""
    known = sorted((value, name) for name, value in differences.items() if value is not None)
    figure, axes = _new_figure(7, min(30.0, 1.5 + 0.2 * len(known)))
    values = [100 * value for value, _ in known]
    colours = ["tab:blue" if value >= 0 else "tab:red" for value in values]
    axes.barh(range(len(known)), values, color=colours)
    names = [name for _, name in known]
    axes.set_yticks(range(len(known)), names, fontsize=7, parse_math=False)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("accuracy, difference in points")
    figure.savefig(path)


def draw_similarity(path: Path, similarities: Mapping[str, float]) -> None:
    """Draw the cosine of each weight, from the first layer to the last."""
    figure, axes = _new_figure(9, 4)
    axes.plot(list(similarities.values()), marker=".", linewidth=0.8)
    names = list(similarities)
    step = max(1, len(names) // 20)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=90, fontsize=5)
    axes.set_ylabel("cosine")
    axes.set_xlabel("weights, from input to output")
    axes.grid(alpha=0.3)
    figure.savefig(path)


def _new_figure(width: float, height: float) -> "tuple[Figure, Axes]":
    # Not through pyplot, which keeps every figure and may ask for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    return figure, figure.subplots()
