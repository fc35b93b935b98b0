"""The table of a comparison: a row a method, each figure with its spread."""

from collections.abc import Sequence
from statistics import fmean, median, quantiles, stdev
from typing import Any

from kinema.compare.plan import Plan
from kinema.errors import InputError

Entry = dict[str, Any]
_KEYS = ("method", "reference", "prompt", "seed", "file")
_COSTS = ("seconds", "peak_bytes")
_COSTS_OF_LEARNING = ("learning_seconds", "learning_peak_bytes")
_SIZES = ("parameters", "file_bytes")


def rows_of(
    plan: Plan,
    videos: Sequence[Entry],
    learned: Sequence[Entry],
    differing: Sequence[Entry] = (),
    *,
    pipeline: str,
) -> list[dict[str, Any]]:
    """Return a row for each method.

    Scores are `{"mean", "spread"}`: the mean over references and prompts for each seed, of which
    the mean and the standard deviation over seeds (0 for one seed); and "num_videos" where not all
    of them could be scored. `diversity` is so over references, of which each is a mean over
    prompts; None for one seed. Times, `seconds` of generating a video and `learning_seconds`, are
    `{"median", "mean", "spread"}` over videos and over references, the spread half of what lies
    between the quartiles: machines are interrupted. `peak_bytes` is the highest of learning and
    generating; `parameters` and `file_bytes` are of the largest outcome.

    Args:
        plan: that was run.
        videos: entries of `results.jsonl`.
        learned: entries of `learned.jsonl`; of two for the same the last one counts.
        differing: entries of `diversity.jsonl`.
        pipeline: name of it.

    Raises:
        InputError: there is nothing of a method.
    """
    costs = {(each["method"], each["reference"], each["seed"]): each for each in learned}
    return [
        _row(
            method,
            pipeline,
            [entry for entry in videos if entry["method"] == method],
            [entry for entry in costs.values() if entry["method"] == plan.learned_as(method)],
            [entry for entry in differing if entry["method"] == method],
        )
        for method in plan.methods
    ]


def middle(figure: dict[str, float]) -> float:
    """Return the median of a figure, or its mean where that is what it has."""
    return figure.get("median", figure["mean"])


def figures_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of what a table shows with a mean and a spread."""
    return [
        name
        for name, value in rows[0].items()
        if (value is None or isinstance(value, dict)) and name != "learning_peak_bytes"
    ]


def _row(
    method: str,
    pipeline: str,
    videos: list[Entry],
    learned: list[Entry],
    differing: list[Entry],
) -> dict[str, Any]:
    for what, entries in (("video", videos), ("learning", learned)):
        if not entries:
            raise InputError(
                f"there is no {what} of {method} in the folder, which was there before; give "
                "another output folder"
            )
    row: dict[str, Any] = {"method": method, "pipeline": pipeline, "num_videos": len(videos)}
    names = [name for name in videos[0] if name not in (*_KEYS, *_COSTS)]
    for name in names:
        by_seed: dict[int, list[float]] = {}
        for entry in videos:
            if entry[name] is not None:
                by_seed.setdefault(entry["seed"], []).append(entry[name])
        row[name] = found = _spread([fmean(values) for values in by_seed.values()])
        num_scored = sum(map(len, by_seed.values()))
        if found is not None and num_scored < len(videos):
            found["num_videos"] = num_scored
    by_reference: dict[str, list[float]] = {}
    for entry in differing:
        if entry["diversity"] is not None:
            by_reference.setdefault(entry["reference"], []).append(entry["diversity"])
    row["diversity"] = _spread([fmean(values) for values in by_reference.values()])
    row["seconds"] = _quartiles([entry["seconds"] for entry in videos])
    for name in _COSTS_OF_LEARNING:
        row[name] = _quartiles([entry[name] for entry in learned])
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


def _quartiles(values: list[float]) -> dict[str, float]:
    spread = 0.0
    if len(values) > 1:
        first, _, third = quantiles(values, n=4, method="inclusive")
        spread = (third - first) / 2
    return {"median": median(values), "mean": fmean(values), "spread": spread}
