"""Does anything that makes Kinema quick change a result? Small tables, made with it and without.

- Recognition: a small SlowFast with a motion prompt learns sprites actions; the prompt in one pass
  over memory, and by its formula an operation at a time. Training makes rounding grow, so beside
  both stands what the formula comes to where only the order of sums is another, on one thread.
- Transfer and evidence: motions are learned with layers computed again in the backward pass, and
  with everything kept; videos are sampled several at once, in bfloat16 and not, and one by one in
  float32.

Learning is short, so the figures are worse than those of `docs/results/`; what counts is how far
those of a row are apart.

    python benchmarks/unchanged.py -o unchanged --json docs/results/unchanged.json
"""

import argparse
import dataclasses
import json
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from ablations import variant
from report import BEGUN_AT, write_report

from kinema.compare import Plan, SpriteScorer, compare, open_prompts, travelling_references
from kinema.motion_inversion import PRESETS
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.motion_prompt import layer
from kinema.peers import METHODS, Inversion, Method
from kinema.recognition import evaluate, finetune, read_recipe
from kinema.recognition.journal import EPOCHS

RUNS = ("formula", "formula, one thread", "one pass")
"""How a prompt is computed while it learns."""
WAYS: dict[str, dict[str, Any]] = {
    "one by one": {"batch_size": 1, "precision": "fp32", "recomputed": False},
    "several at once": {"batch_size": 4, "precision": "fp32", "recomputed": True},
    "and in bfloat16": {"batch_size": 4, "precision": "bf16", "recomputed": True},
}
"""How videos are made, and motions learned."""
SCORES = ("displacement_cosine", "path_error", "appearance", "leak")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="folder, in which each commit has its own and goes on",
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pipeline", choices=EMBEDDED, default=EMBEDDED[1])
    parser.add_argument("--seeds", type=int, default=2, help="of runs, and of videos")
    parser.add_argument("--clips", type=int, default=800, help="that a run trains on")
    parser.add_argument("--references", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=2)
    parser.add_argument("--learning-steps", type=int, default=40)
    parser.add_argument("--steps", type=int, default=12, help="of sampling")
    arguments = parser.parse_args()
    # What another commit made says nothing of this one.
    arguments.output /= BEGUN_AT or "no commit"

    trained = _recognition(arguments)
    compared = _transfer(arguments)
    print(f"\n{'recognition':<20}{'figure':<26}" + "".join(f"{run:>22}" for run in RUNS))
    for row in trained:
        figures = "".join(f"{row[run]:>22.5f}" for run in RUNS)
        print(f"{row['run']:<20}{row['figure']:<26}{figures}")
    print(f"\n{'transfer':<20}{'figure':<26}" + "".join(f"{way:>18}" for way in WAYS))
    for row in compared:
        figures = "".join(f"{row[way]:>18.3f}" for way in WAYS)
        print(f"{row['method']:<20}{row['figure']:<26}{figures}")
    if arguments.json:
        write_report(arguments.json, recognition=trained, transfer=compared)


def _recognition(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Train in all ways; return each figure of all."""
    recipe = dataclasses.replace(
        read_recipe("sprites-slowfast"),
        dataset_arguments={"num_clips": arguments.clips, "num_test_clips": 90, "nuisance": "none"},
        size=48,
        batch_size=10,
        num_epochs=5,
        num_workers=0,
        epochs_between_tests=0,
    )
    no, threads = mock.Mock(return_value=False), torch.get_num_threads()
    found: dict[tuple[str, str], dict[str, float]] = {}
    for seed in range(arguments.seeds):
        for way in RUNS:
            folder = arguments.output / f"{way}-{seed}"
            torch.set_num_threads(1 if way == "formula, one thread" else threads)
            # A prompt asks here whether it may take one pass.
            with nullcontext() if way == "one pass" else mock.patch.object(layer, "can_fuse", no):
                seeded = dataclasses.replace(recipe, seed=seed)
                summary = finetune(seeded, folder, resume=True, device="cpu", progress=True)
                scores = evaluate(folder, device="cpu").scores.as_dict()
            torch.set_num_threads(threads)
            first = json.loads((folder / EPOCHS).read_text().partition("\n")[0])
            last = summary["last_epoch"]
            figures = {
                "loss of the first epoch": first["loss"],
                "loss of the last": last["loss"],
                "top1": scores["top1"],
                "m": last["prompt_m"],
                "n": last["prompt_n"],
            }
            for figure, value in figures.items():
                found.setdefault((f"seed {seed}", figure), {})[way] = value
    return [{"run": run, "figure": figure, **ways} for (run, figure), ways in found.items()]


def _transfer(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare methods in every way; return each figure of all ways."""
    pipe = load_pipeline(arguments.pipeline, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    found: dict[tuple[str, str], dict[str, float]] = {}
    for way, made in WAYS.items():
        plan = Plan(
            references=travelling_references(arguments.references),
            prompts=open_prompts(arguments.prompts),
            seeds=range(arguments.seeds),
            methods=list(_methods(arguments.learning_steps)),
            variants=_methods(arguments.learning_steps, recomputed=made["recomputed"]),
            num_steps=arguments.steps,
            guidance=3.0,
            precision=made["precision"],
        )
        summary = compare(
            pipe,
            plan,
            SpriteScorer(),
            arguments.output / way.replace(" ", "-"),
            model=arguments.pipeline,
            batch_size=made["batch_size"],
        )
        for row in summary["rows"]:
            for figure in SCORES:
                found.setdefault((row["method"], figure), {})[way] = row[figure]["mean"]
    return [
        {"method": method, "figure": figure, **ways} for (method, figure), ways in found.items()
    ]


def _methods(num_steps: int, *, recomputed: bool = False) -> dict[str, Method]:
    """The control, the default, the published method, and two of the evidence's variants."""
    learned = partial(variant, num_steps=num_steps, gradient_checkpointing=recomputed)
    published = dataclasses.replace(
        PRESETS["paper"],
        num_steps=num_steps,
        precision="model",
        gradient_checkpointing=recomputed,
        inversion_steps=0,
    )
    return {
        "none": METHODS["none"],
        "default": learned(),
        "published, learned": Inversion("published", published, {"value": "debiased"}),
        "debiased": learned({"value": "debiased"}),
        "coarse value": learned(value="coarse"),
    }


if __name__ == "__main__":
    main()
