"""The comparison itself: learn, generate, score; resumable, one line a video."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from kinema.compare.cost import measured
from kinema.compare.identity import check_same, identity_of, write_plan
from kinema.compare.journal import Journal
from kinema.compare.page import write_page
from kinema.compare.plan import Plan, Reference
from kinema.compare.scores import Scorer
from kinema.compare.table import rows_of
from kinema.errors import InputError
from kinema.files import output_folder, replacing
from kinema.motion_inversion import fitted_reference
from kinema.peers import load
from kinema.precision import computing_in
from kinema.video import read_video, write_video

RESULTS, LEARNED, SUMMARY = "results.jsonl", "learned.jsonl", "comparison.json"
DIVERSITY = "diversity.jsonl"
FRAMES_PER_SECOND = 8.0


def compare(
    pipe: Any,
    plan: Plan,
    scorer: Scorer,
    folder: str | Path,
    *,
    model: str = "",
    batch_size: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Run a comparison, or go on with it where it stopped.

    Into `folder` go what each method learned (`learned/`), every video (`videos/`), a line for each
    (`results.jsonl`), and at the end how far seeds differ (`diversity.jsonl`), `comparison.json`
    and `index.html`. Work that is done is not done again, so that a run that was killed comes to
    the same figures.

    Args:
        pipe: a pipeline that every method of the plan can be used on.
        plan: what to compare.
        scorer: how videos are scored.
        folder: where to.
        model: name of the pipeline, for the table.
        batch_size: videos made at once, which a GPU is quicker with; their seconds are shared out.
        progress: show a bar.

    Returns:
        What `comparison.json` says: the plan, and under `rows` a row for each method
        (`kinema.compare.rows_of`).

    Raises:
        InputError: the folder holds a comparison of another plan, of other weights or by another
            scorer, or a method, a clip or a prompt cannot be used. Of clips that is known before
            anything is learned.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; expected 1 or more")
    scorer.check(plan)
    folder = Path(folder)
    described = identity_of(pipe, plan, scorer, model=model, batch_size=batch_size)
    begun = any(_holds_lines(folder / name) for name in (RESULTS, LEARNED, DIVERSITY))
    to_write = check_same(folder, described, begun=begun)
    journal = Journal(folder / RESULTS)
    learning = Journal(folder / LEARNED)
    written = [(folder / name).resolve() for name in ("references", "videos")]
    for reference in plan.references:
        path = reference.video
        if isinstance(path, Path) and any(path.resolve().is_relative_to(at) for at in written):
            raise InputError(
                f"{folder} would write over the clip {path}; give another output folder"
            )
    left = [
        of
        for of in _learnings(plan)
        if _missing(plan, journal, *of) or not learning.has(_learning_key(plan, *of))
    ]
    # Before anything is learned: whether each method can be used here, and each clip be read and
    # scored against.
    for name in dict.fromkeys(method for method, _, _ in left):
        plan.method(name).check(pipe, plan.settings_of(name))
    for reference in {each.name: each for _, each, _ in left}.values():
        scorer.prepare(reference, _fitted(pipe, plan, reference))
    write_plan(folder, to_write)
    shown: set[str] = set()
    total = len(plan.methods) * len(plan.references) * len(plan.prompts) * len(plan.seeds)
    with tqdm(
        total=total,
        initial=total - sum(len(_missing(plan, journal, *of)) for of in left),
        desc="compare",
        unit="video",
        disable=None if progress else True,
    ) as bar:
        for method, reference, seed in left:
            if reference.name not in shown:
                path = folder / "references" / f"{reference.name}.mp4"
                _show(path, _fitted(pipe, plan, reference))
                shown.add(reference.name)
            name = f"{plan.learned_as(method)}--{reference.name}--{seed}.safetensors"
            learned = _learned(
                pipe, plan, method, reference, seed, folder / "learned" / name, learning
            )
            missing = _missing(plan, journal, method, reference, seed)
            for first in range(0, len(missing), batch_size):
                keys = missing[first : first + batch_size]
                videos, costs = _generated(pipe, plan, keys, learned)
                for key, video in zip(keys, videos, strict=True):
                    scores = scorer.score(video, reference=reference, prompt=key["prompt"])
                    _show(folder / _file(plan, key), video)
                    journal.add(key, {"file": _file(plan, key), **scores, **costs})
                    bar.update()
    differing = Journal(folder / DIVERSITY)
    if len(plan.seeds) > 1:
        _see_how_seeds_differ(folder, plan, scorer, differing)
    summary = {
        **described,
        "rows": rows_of(
            plan,
            journal.entries,
            learning.entries,
            differing.entries,
            pipeline=described["pipeline"],
        ),
    }
    with replacing(folder / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    write_page(folder, plan, summary, journal.entries, scorer)
    return summary


def _fitted(pipe: Any, plan: Plan, reference: Reference) -> Tensor:
    """A clip as it will be learned; many at once would fill the memory."""
    return fitted_reference(pipe, reference.video, num_frames=plan.num_frames, size=plan.size).video


def _learnings(plan: Plan) -> Iterator[tuple[str, Reference, int]]:
    # References first, so that a run that is cut short has all methods beside each other.
    for seed in plan.learning_seeds():
        for reference in plan.references:
            for method in plan.methods:
                yield method, reference, seed


def _learning_key(plan: Plan, method: str, reference: Reference, seed: int) -> dict[str, Any]:
    """By what a learning is known in `learned.jsonl`; methods that learn alike share it."""
    return {"method": plan.learned_as(method), "reference": reference.name, "seed": seed}


def _missing(
    plan: Plan, journal: Journal, method: str, reference: Reference, seed: int
) -> list[dict[str, Any]]:
    """The keys of the videos that follow from one learning and are not there yet."""
    seeds = [seed] if plan.learn_each_seed else plan.seeds
    keys = [
        {"method": method, "reference": reference.name, "prompt": prompt, "seed": each}
        for each in seeds
        for prompt in plan.prompts
    ]
    return [key for key in keys if not journal.has(key)]


def _see_how_seeds_differ(folder: Path, plan: Plan, scorer: Scorer, differing: Journal) -> None:
    """Compare the videos of all seeds, as they were written: a run that goes on has no others."""
    for method, reference, prompt in product(plan.methods, plan.references, plan.prompts):
        key = {"method": method, "reference": reference.name, "prompt": prompt}
        if not differing.has(key):
            files = [folder / _file(plan, {**key, "seed": seed}) for seed in plan.seeds]
            videos = torch.stack([read_video(file).frames for file in files]).float() / 255
            differing.add(key, {"diversity": scorer.diversity(videos)})


def _file(plan: Plan, key: dict[str, Any]) -> str:
    """Where the video of a key lies in the folder of a comparison."""
    prompt = plan.prompts.index(key["prompt"])
    return f"videos/{key['method']}--{key['reference']}--{prompt}--{key['seed']}.mp4"


def _generated(
    pipe: Any, plan: Plan, keys: list[dict[str, Any]], learned: Any
) -> tuple[list[Tensor], dict[str, float]]:
    """The videos of keys of one method, and what each of them cost."""
    with measured(pipe.device) as cost, computing_in(plan.precision, pipe.device):
        # A batch of one is made as a video alone is, to the last bit.
        one = len(keys) == 1
        videos = plan.method(keys[0]["method"]).generate(
            pipe,
            keys[0]["prompt"] if one else [key["prompt"] for key in keys],
            learned,
            seed=keys[0]["seed"] if one else [key["seed"] for key in keys],
            num_steps=plan.num_steps,
            guidance=plan.guidance,
        )
    for key, video in zip(keys, [videos] if one else videos, strict=True):
        if not video.isfinite().all():
            raise InputError(
                f"{key['method']} made a video of NaN or infinity of {key['prompt']!r}, seed "
                f"{key['seed']}, by {key['reference']}; leave the method out, or compare in "
                "another precision"
            )
    costs = {"seconds": cost.seconds / len(keys), "peak_bytes": cost.peak_bytes}
    return [videos] if one else list(videos), costs


def _learned(
    pipe: Any,
    plan: Plan,
    method: str,
    reference: Reference,
    seed: int,
    path: Path,
    learning: Journal,
) -> Any:
    key = _learning_key(plan, method, reference, seed)
    if path.exists() and learning.has(key):
        return load(path)
    with measured(pipe.device) as cost:
        learned = plan.method(method).learn(
            pipe,
            reference.video,
            prompt=reference.prompt,
            seed=seed,
            settings=plan.settings_of(method),
            num_frames=plan.num_frames,
            size=plan.size,
            progress=False,
        )
    output_folder(path.parent)
    learned.save(path)
    learning.add(
        key,
        {
            "learning_seconds": cost.seconds,
            "learning_peak_bytes": cost.peak_bytes,
            "parameters": learned.num_numbers,
            "file_bytes": path.stat().st_size,
        },
    )
    # As a later run reads it, in the precision that the file keeps.
    return load(path)


def _show(path: Path, video: Tensor) -> None:
    output_folder(path.parent)
    write_video(path, video, frames_per_second=FRAMES_PER_SECOND)


def _holds_lines(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0
