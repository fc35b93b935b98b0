"""`kinema compare`: every method on the same clips, prompts and seeds."""

import argparse
from pathlib import Path
from typing import Any

from kinema.cli.invert import add_model, pipeline_of
from kinema.cli.limits import check_frames, check_steps, size_of
from kinema.errors import InputError
from kinema.sprites import GUIDANCE


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "compare",
        help="all methods on the same clips, one table",
        description="Learn the motion of each reference by each method, give it to each prompt, "
        "and score the videos: against the truth on sprites, by tracks of points on other clips. "
        "Interrupted, the same command goes on where it was.",
    )
    command.add_argument(
        "--reference",
        nargs=2,
        action="append",
        default=[],
        metavar=("VIDEO", "WORDS"),
        help="a clip and what it shows; may be given again",
    )
    command.add_argument(
        "--sprites", type=int, metavar="N", help="N rendered references in place of clips"
    )
    command.add_argument(
        "--prompt", action="append", default=[], metavar="WORDS", help="may be given again"
    )
    command.add_argument(
        "--prompts", type=int, metavar="N", help="with --sprites and no --prompt (4)"
    )
    command.add_argument(
        "--methods", default="none,kinema", help="names with commas between (none,kinema)"
    )
    command.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="videos of each, from seeds 0 to N-1 (1)"
    )
    command.add_argument("--frames", type=int, metavar="N", help="to take from a clip, at most")
    command.add_argument(
        "--size", metavar="HxW", help="height and width of the videos, in pixels (the model's own)"
    )
    command.add_argument(
        "--steps", type=int, help="of every sampling (each method's own, which differ)"
    )
    command.add_argument(
        "--guidance",
        type=float,
        help="of every sampling (2 for the embedded models, else each method's own, which differ: "
        "none has 12, kinema the pipeline's)",
    )
    command.add_argument(
        "--precision", default="fp32", help="of sampling: fp32, or bf16 for autocast (fp32)"
    )
    command.add_argument(
        "--batch-size", type=int, default=1, metavar="N", help="videos at once, for a GPU (1)"
    )
    command.add_argument("--clip-model", metavar="ID", help="a CLIP to score with, besides tracks")
    command.add_argument(
        "--cotracker",
        nargs="?",
        const="",
        metavar="CHECKPOINT",
        help="track points by CoTracker, for figures as published too: by the package that is "
        "installed and its CHECKPOINT, else by torch.hub, which downloads its code (CC-BY-NC 4.0)",
    )
    add_model(command)
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Compare, and print the table."""
    from kinema.compare import compare

    plan, scorer = _plan(arguments), _scorer(arguments)
    scorer.check(plan)
    pipe = pipeline_of(arguments)
    check_steps(pipe, arguments.steps)
    if arguments.clip_model is not None:
        scorer.clip.model.to(pipe.device)
    summary = compare(
        pipe,
        plan,
        scorer,
        arguments.output,
        model=str(arguments.model),
        batch_size=arguments.batch_size,
    )
    print(table(summary["rows"]))
    print(f"wrote {arguments.output / 'index.html'}")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows of a comparison as text, a line a method."""
    from kinema.compare import figures_of, middle

    names = figures_of(rows)
    heads = [*names, "peak_MB", "parameters", "file_MB"]
    widths = [max(len(name), 15) for name in names] + [8, 12, 8]
    head = " ".join(name.rjust(width) for name, width in zip(heads, widths, strict=True))
    lines = [f"{'method':22}{head}"]
    for row in rows:
        cells = [
            ("-" if row[name] is None else f"{middle(row[name]):.3f} ± {row[name]['spread']:.3f}")
            + (f" ({row[name]['num_videos']})" if "num_videos" in (row[name] or {}) else "")
            for name in names
        ]
        cells += [
            f"{row['peak_bytes'] / 1e6:.0f}",
            f"{row['parameters']:,}",
            f"{row['file_bytes'] / 1e6:.2f}",
        ]
        figures = " ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{row['method']:22}{figures}")
    return "\n".join(lines)


def _plan(arguments: argparse.Namespace) -> Any:
    from kinema.compare import Plan, clip_references, open_prompts, travelling_references
    from kinema.motion_inversion.pipelines import EMBEDDED

    if arguments.seeds < 1:
        raise InputError(f"--seeds is {arguments.seeds}; give 1 or more")
    if (arguments.sprites is None) == (not arguments.reference):
        raise InputError("give clips by --reference, or --sprites N for rendered ones, not both")
    prompts = arguments.prompt
    if arguments.prompts is not None and (prompts or arguments.sprites is None):
        raise InputError(
            f"--prompts is {arguments.prompts}, and it is for --sprites without a --prompt; leave "
            "it out"
        )
    if arguments.sprites is None:
        references = clip_references(arguments.reference)
    else:
        _check_embedded(arguments)
        references = travelling_references(arguments.sprites)
        prompts = prompts or open_prompts(4 if arguments.prompts is None else arguments.prompts)
    guidance = arguments.guidance
    if guidance is None and arguments.model in EMBEDDED:
        guidance = GUIDANCE
    check_frames(arguments.frames)
    return Plan(
        references,
        prompts,
        seeds=range(arguments.seeds),
        methods=[name.strip() for name in arguments.methods.split(",")],
        num_steps=arguments.steps,
        guidance=guidance,
        num_frames=arguments.frames,
        size=size_of(arguments.size),
        precision=arguments.precision,
    )


def _scorer(arguments: argparse.Namespace) -> Any:
    import torch

    from kinema.compare import SpriteScorer, TrackScorer
    from kinema.measure import ClipEmbedder, CoTracker

    if arguments.sprites is not None:
        if arguments.clip_model is not None:
            raise InputError(
                f"--clip-model {arguments.clip_model} with --sprites, which are scored against the "
                "truth; leave it out"
            )
        if arguments.cotracker is not None:
            raise InputError("--cotracker with --sprites, whose truth is known; leave it out")
        return SpriteScorer()
    clip = None if arguments.clip_model is None else ClipEmbedder.load(arguments.clip_model)
    if arguments.cotracker is None:
        return TrackScorer(clip=clip)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tracker = CoTracker(checkpoint=arguments.cotracker or None, device=device)
    return TrackScorer(tracker=tracker, clip=clip, as_published=True)


def _check_embedded(arguments: argparse.Namespace) -> None:
    from kinema.motion_inversion.pipelines import EMBEDDED

    if arguments.model not in EMBEDDED:
        raise InputError(
            f"--sprites with --model {arguments.model}, which does not know them; give sprites or "
            "sprites-animatediff, or clips by --reference"
        )
