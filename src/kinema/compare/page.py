"""The page of a comparison: its table, motion against appearance, and the videos."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.compare.plan import Plan
from kinema.compare.table import figures_of, middle
from kinema.pages import write_template

if TYPE_CHECKING:
    from kinema.compare.scores import Scorer

PAGE = "index.html"
_SIDE = 320
_LEAST_TICKS = 3


def write_page(
    folder: Path,
    plan: Plan,
    summary: dict[str, Any],
    videos: Sequence[dict[str, Any]],
    scorer: "Scorer",
) -> Path:
    """Write `index.html` into `folder`, whose videos it shows; return its path.

    Args:
        folder: of the comparison.
        plan: that was run.
        summary: its `comparison.json`.
        videos: entries of `results.jsonl`.
        scorer: by which they were scored.
    """
    shown = {(v["method"], v["reference"], v["prompt"], v["seed"]): v for v in videos}
    return write_template(
        folder / PAGE,
        "comparison.html",
        package="kinema.compare",
        plan=plan,
        summary=summary,
        scored_by=_in_words(summary["scorer"]),
        scores=figures_of(summary["rows"]),
        scatter=_scatter(summary["rows"], scorer),
        middle=middle,
        appearance_known=any(row.get(scorer.appearance) for row in summary["rows"]),
        motion=scorer.motion,
        appearance=scorer.appearance,
        video=lambda *key: shown.get(key),
    )


def _in_words(identity: dict[str, Any]) -> str:
    """Write an identity as its name, and in brackets what else it says."""
    rest = {key: value for key, value in identity.items() if key != "name"}
    said = [
        f"{key.replace('_', ' ')} {_in_words(value) if isinstance(value, dict) else value}"
        for key, value in rest.items()
        if value is not None
    ]
    return f"{identity['name']} ({', '.join(said)})" if said else str(identity["name"])


def _scatter(rows: list[dict[str, Any]], scorer: "Scorer") -> dict[str, Any]:
    """Where each method stands, in pixels of a square: appearance to the right, motion upwards.

    The axes reach from the least to the most of what is shown, spreads included, so that methods
    that are close are told apart.
    """
    shown = [
        (row["method"], row[scorer.appearance], row[scorer.motion])
        for row in rows
        if row.get(scorer.appearance) and row.get(scorer.motion)
    ]
    if not shown:
        return {"points": []}
    across, up = _Axis([x for _, x, _ in shown]), _Axis([y for _, _, y in shown])
    points = [
        {
            "method": method,
            "hue": 360 * number // len(shown),
            "said": f"{x['mean']:.3f}, {y['mean']:.3f}",
            "x": across.at(x["mean"]),
            "dx": x["spread"] * across.scale,
            "y": up.at(y["mean"]),
            "dy": y["spread"] * up.scale,
        }
        for number, (method, x, y) in enumerate(shown)
    ]
    return {"points": points, "across": across.ticks, "up": up.ticks}


class _Axis:
    """An axis over figures with spreads, `_SIDE` pixels long, with a margin at both ends."""

    def __init__(self, figures: list[dict[str, float]]) -> None:
        least = min(figure["mean"] - figure["spread"] for figure in figures)
        most = max(figure["mean"] + figure["spread"] for figure in figures)
        margin = (most - least) / 12 or 0.05
        self.least, self.most = least - margin, most + margin
        self.scale = _SIDE / (self.most - self.least)

    def at(self, value: float) -> float:
        """Return how many pixels from the axis' beginning a value lies."""
        return (value - self.least) * self.scale

    @property
    def ticks(self) -> list[dict[str, Any]]:
        """Round numbers within the axis, 3 to 8, and where they stand."""
        reach = self.most - self.least
        power = 10.0 ** math.floor(math.log10(reach))
        step = next(
            s for s in (2 * power, power, power / 2, power / 5) if reach / s >= _LEAST_TICKS
        )
        numbers = range(math.ceil(self.least / step), math.floor(self.most / step) + 1)
        digits = max(0, -math.floor(math.log10(step)))
        return [{"at": self.at(k * step), "label": f"{k * step:.{digits}f}"} for k in numbers]
