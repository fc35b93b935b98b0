"""Every method on sprites transfer: does the motion of a clip come over, and only the motion?

References are rendered sprites, so where they go is known; prompts say what to show and not how it
moves. The exact judge says where the generated sprite went, whether it looks as prompted, and
whether it looks like the reference where it should not. Writes `index.html` with all videos beside
the figures. Killed, the same command goes on.

    python benchmarks/transfer.py -o transfer --json docs/results/transfer.json
    python benchmarks/transfer.py -o transfer --references 3 --prompts 2 --seeds 1
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from report import write_report
from shortened import shortened

from kinema.cli.compare import table
from kinema.compare import (
    Plan,
    SpriteScorer,
    compare,
    open_prompts,
    travelling_references,
)
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.peers import METHODS
from kinema.precision import PRECISIONS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pipelines", nargs="+", choices=EMBEDDED, default=list(EMBEDDED))
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--references", type=int, default=12)
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=25, help="of every method's sampling")
    parser.add_argument(
        "--learning-steps", type=int, help="of every method, to try the script (each its own)"
    )
    parser.add_argument("--guidance", type=float, default=3.0, help="of every method's sampling")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of sampling")
    parser.add_argument("--batch-size", type=int, default=1, help="videos at once, for a GPU")
    arguments = parser.parse_args()

    plan = Plan(
        references=travelling_references(arguments.references),
        prompts=open_prompts(arguments.prompts),
        seeds=range(arguments.seeds),
        methods=arguments.methods,
        settings=shortened(METHODS, arguments.learning_steps),
        num_steps=arguments.steps,
        guidance=arguments.guidance,
        precision=arguments.precision,
    )
    summaries: list[dict[str, Any]] = []
    for name in arguments.pipelines:
        # In float32 on a GPU too, so that figures are those of a CPU.
        pipe = load_pipeline(name, dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        summary = compare(
            pipe,
            plan,
            SpriteScorer(),
            arguments.output / name,
            model=name,
            batch_size=arguments.batch_size,
        )
        summaries.append(summary)
        print(f"\n{name}\n{table(summaries[-1]['rows'])}")
    if arguments.json:
        rows = [row for summary in summaries for row in summary["rows"]]
        write_report(
            arguments.json,
            device=pipe.device,
            plan=plan.as_dict(),
            weights={summary["pipeline"]: summary["weights"] for summary in summaries},
            rows=rows,
        )


if __name__ == "__main__":
    main()
