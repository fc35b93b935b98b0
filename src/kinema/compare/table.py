"""The table of a comparison: a row a method, each figure a mean and its spread over seeds."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from kinema.compare.plan import Plan

Entry = dict[str, Any]
_KEYS = ("method", "reference", "prompt", "seed", "file")
_COSTS_OF_LEARNING = ("learning_seconds", "learning_peak_bytes")
_SIZES = ("parameters", "file_bytes")


def rows_of(
    plan: Plan, videos: Sequence[Entry], learned: Sequence[Entry], *, pipeline: str
) -> list[dict[str, Any]]:
    """Return a row for each method.

    Scores and `seconds` (of generating a video) are `{"mean", "spread"}`: the mean over references
    and prompts for each seed, of which the mean and the standard deviation over seeds (0 for one
    seed); and "num_videos" where not all of them could be scored. Costs of learning are so over the
    references learned from; `peak_bytes` is the highest of learning and generating; `parameters`
    and `file_bytes` are of the largest outcome.

    Args:
        plan: that was run.
        videos: entries of `results.jsonl`.
        learned: entries of `learned.jsonl`.
        pipeline: name of it.
    """
    return [
        _row(
            method,
            pipeline,
            [entry for entry in videos if entry["method"] == method],
            [entry for entry in learned if entry["method"] == plan.learned_as(method)],
        )
        for method in plan.methods
    ]


def figures_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of what a table shows with a mean and a spread."""
    return [
        name
        for name, value in rows[0].items()
        if (value is None or isinstance(value, dict)) and name != "learning_peak_bytes"
    ]


def _row(method: str, pipeline: str, videos: list[Entry], learned: list[Entry]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": method, "pipeline": pipeline, "num_videos": len(videos)}
    names = [name for name in videos[0] if name not in (*_KEYS, "peak_bytes")]
    for name in names:
        by_seed: dict[int, list[float]] = {}
        for entry in videos:
            if entry[name] is not None:
                by_seed.setdefault(entry["seed"], []).append(entry[name])
        row[name] = found = _spread([fmean(values) for values in by_seed.values()])
        num_scored = sum(map(len, by_seed.values()))
        if found is not None and num_scored < len(videos):
            found["num_videos"] = num_scored
    for name in _COSTS_OF_LEARNING:
        row[name] = _spread([entry[name] for entry in learned])
    row["peak_bytes"] = max(
        max(entry["peak_bytes"] for entry in videos),
        max(entry["learning_peak_bytes"] for entry in learned),
    )
    for name in _SIZES:
        row[name] = max(entry[name] for entry in learned)
    return row


def _spread(values: list[float]) -> dict[str, float] | None:
    if not values:
        return None
    return {"mean": fmean(values), "spread": stdev(values) if len(values) > 1 else 0.0}
