"""What in motion inversion matters: one part changed at a time, on sprites transfer.

Experiments, each a table of its own (`--experiments` chooses):

- `embeddings`: query-key or value embeddings alone, both, in one dimension, none;
- `inference`: what becomes of value embeddings when they are used, from random noise and from noise
  that is half the clip's own, and while they are learned;
- `leak`: where the look of the reference comes from: value or query-key, the value of the first
  frame or of the rest, early or late steps;
- `ours`: forms of value embeddings, noise levels learned at, loss, blocks, learning rate, steps;
- `dmt`: the peer that trains nothing, steered by features of parts of the frame, and more strongly;
- `bound`: the reference's own prompt and raw embeddings, the best that can be had.

    python benchmarks/ablations.py -o ablations --json docs/results/ablations.json
    python benchmarks/ablations.py -o ablations --experiments ours --references 3 --prompts 2
"""

import argparse
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from report import write_report
from shortened import shortened
from variants import EXPERIMENTS, variant

from kinema.cli.compare import table
from kinema.compare import (
    Plan,
    SpriteScorer,
    compare,
    figures_of,
    middle,
    open_prompts,
    travelling_references,
)
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.precision import PRECISIONS
from kinema.weights import digest_of_weights

BOUND = "bound"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*EXPERIMENTS, BOUND]
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--experiments", nargs="+", choices=names, default=names)
    parser.add_argument("--variants", nargs="+", help="of the experiments, only these")
    parser.add_argument("--pipeline", choices=EMBEDDED, default=EMBEDDED[1])
    parser.add_argument("--references", type=int, default=6)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument(
        "--learning-steps", type=int, help="of every variant, to try the script (each its own)"
    )
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of sampling")
    parser.add_argument("--batch-size", type=int, default=1, help="videos at once, for a GPU")
    arguments = parser.parse_args()
    if arguments.variants:
        known = {variant for variants in EXPERIMENTS.values() for variant in variants} | {BOUND}
        unknown = sorted(set(arguments.variants) - known)
        if unknown:
            parser.error(f"there are no variants {', '.join(unknown)}; see variants.py")
        arguments.experiments = [
            name
            for name in arguments.experiments
            if {*EXPERIMENTS.get(name, [BOUND])} & {*arguments.variants}
        ]

    # In float32 on a GPU too, so that figures are those of a CPU.
    pipe = load_pipeline(arguments.pipeline, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    rows: list[dict[str, Any]] = []
    for name in arguments.experiments:
        found = _bound(pipe, arguments) if name == BOUND else _experiment(pipe, name, arguments)
        rows += [{"experiment": name, **row} for row in found]
        print(f"\n{name}\n{table(found)}")
    if arguments.json:
        write_report(
            arguments.json,
            device=pipe.device,
            settings={
                name: value
                for name, value in vars(arguments).items()
                if name not in ("output", "json")
            },
            weights=digest_of_weights(pipe.components),
            rows=rows,
        )


def _experiment(pipe: Any, name: str, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    variants = EXPERIMENTS[name]
    chosen = [each for each in variants if each in (arguments.variants or variants)]
    plan = Plan(
        references=travelling_references(arguments.references),
        prompts=open_prompts(arguments.prompts),
        seeds=range(arguments.seeds),
        methods=chosen,
        variants=variants,
        settings=shortened(variants, arguments.learning_steps),
        num_steps=arguments.steps,
        guidance=arguments.guidance,
        precision=arguments.precision,
    )
    folder = arguments.output / name
    return _compared(pipe, plan, folder, arguments)


def _compared(
    pipe: Any, plan: Plan, folder: Path, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    summary = compare(
        pipe,
        plan,
        SpriteScorer(),
        folder,
        model=arguments.pipeline,
        batch_size=arguments.batch_size,
    )
    rows: list[dict[str, Any]] = summary["rows"]
    return rows


def _bound(pipe: Any, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Give every motion back to its own prompt."""
    rows = []
    for reference in travelling_references(arguments.references):
        variants = {"own prompt, raw": variant({"value": "raw"})}
        plan = Plan(
            references=[reference],
            prompts=[reference.prompt],
            seeds=range(arguments.seeds),
            methods=list(variants),
            variants=variants,
            settings=shortened(variants, arguments.learning_steps),
            num_steps=arguments.steps,
            guidance=arguments.guidance,
            precision=arguments.precision,
        )
        folder = arguments.output / BOUND / reference.name
        (row,) = _compared(pipe, plan, folder, arguments)
        rows.append({**row, "method": f"own prompt, {reference.name}"})
    return [_over_references(rows), *rows]


def _over_references(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The mean over references, and its spread over them."""
    whole = {**rows[0], "method": "own prompts", "num_videos": sum(r["num_videos"] for r in rows)}
    for name in figures_of(rows):
        found = [middle(row[name]) for row in rows if row[name] is not None]
        spread = stdev(found) if len(found) > 1 else 0.0
        whole[name] = {"mean": fmean(found), "spread": spread} if found else None
    for name in ("peak_bytes", "parameters", "file_bytes"):
        whole[name] = max(row[name] for row in rows)
    return whole


if __name__ == "__main__":
    main()
