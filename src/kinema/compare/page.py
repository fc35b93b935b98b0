"""The page of a comparison: its table, motion against appearance, and the videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.compare.plan import Plan
from kinema.compare.table import figures_of
from kinema.pages import write_template

if TYPE_CHECKING:
    from kinema.compare.scores import Scorer

PAGE = "index.html"


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
    points = _points(summary["rows"], scorer)
    shown = {(v["method"], v["reference"], v["prompt"], v["seed"]): v for v in videos}
    return write_template(
        folder / PAGE,
        "comparison.html",
        package="kinema.compare",
        plan=plan,
        summary=summary,
        scored_by=_in_words(summary["scorer"]),
        scores=figures_of(summary["rows"]),
        points=points,
        below=-min([0.0, *(point["y"] for point in points)]),
        motion=scorer.motion,
        appearance=scorer.appearance,
        first_seed=plan.seeds[0],
        video=lambda *key: shown.get((*key, plan.seeds[0])),
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


def _points(rows: list[dict[str, Any]], scorer: "Scorer") -> list[dict[str, Any]]:
    """Where each method stands, appearance to the right and motion upwards, as a picture has it."""
    points = []
    for row in rows:
        right, up = row.get(scorer.appearance), row.get(scorer.motion)
        if right and up:
            points.append({"method": row["method"], "x": right["mean"], "y": up["mean"]})
    return points
