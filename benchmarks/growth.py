"""How a cost grows with the work: a table's columns over the sizes of one axis after another."""

from collections.abc import Mapping
from pathlib import Path

Growth = Mapping[str, Mapping[int, Mapping[str, float]]]
"""By axis, by size along it, by contestant."""


def print_growth(growth: Growth, *, unit: str) -> None:
    """Print a table for each axis, a line a size."""
    for axis, by_size in growth.items():
        names = list(next(iter(by_size.values())))
        widths = [max(len(name), 10) + 2 for name in names]
        heads = "".join(name.rjust(width) for name, width in zip(names, widths, strict=True))
        print(f"\n{unit:24}{heads}")
        for size, row in by_size.items():
            cells = (f"{row[name]:.4g}".rjust(w) for name, w in zip(names, widths, strict=True))
            print(f"{axis + ' ' + str(size):24}{''.join(cells)}")


def draw_growth(growth: Growth, path: Path, *, unit: str) -> None:
    """Draw it, one panel for each axis, both scales logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * max(len(growth), 1.3), 3.6), layout="constrained")
    panels = figure.subplots(1, len(growth), squeeze=False)[0]
    for panel, (axis, by_size) in zip(panels, growth.items(), strict=True):
        for name in next(iter(by_size.values())):
            panel.plot(list(by_size), [row[name] for row in by_size.values()], "o-", label=name)
        panel.set(xlabel=axis, xscale="log", yscale="log")
        panel.set_xticks(list(by_size), [str(size) for size in by_size])
        panel.minorticks_off()
    panels[0].set_ylabel(unit)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
