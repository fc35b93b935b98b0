"""`kinema sprites`: train the embedded text-to-video models, sample them, report what they obey."""

import argparse
import math
from pathlib import Path
from typing import Any

from kinema.cli.limits import check_seeds, check_steps
from kinema.errors import InputError
from kinema.precision import PRECISIONS
from kinema.sprites import GUIDANCE

MODELS = ("text-to-video", "animatediff")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its own commands to the parser."""
    group = commands.add_parser(
        "sprites", help="the embedded text-to-video models: train, sample, report"
    ).add_subparsers(dest="action", metavar="ACTION", required=True)

    train = group.add_parser("train", help="train one stage; resumes where it was interrupted")
    train.add_argument(
        "stage", help="one of: autoencoder, text-to-image, motion-words, text-to-video, animatediff"
    )
    train.add_argument("--recipe", type=Path, metavar="TOML", help="settings other than the usual")
    _add_runs(train)
    train.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    train.set_defaults(run=run_train)

    ship = group.add_parser("ship", help="gather the finished stages into a folder of weights")
    _add_runs(ship)
    ship.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    ship.set_defaults(run=run_ship)

    sample = group.add_parser("sample", help="make a video of a caption")
    sample.add_argument("caption", help="such as 'a red star on a black background'")
    sample.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    _add_sampling(sample)
    sample.add_argument("--seed", type=int, default=0)
    sample.set_defaults(run=run_sample)

    report = group.add_parser("report", help="how often the models do what captions say")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    _add_sampling(report)
    report.add_argument("--prompts", type=int, default=300)
    report.add_argument("--seeds", type=int, default=3)
    report.add_argument(
        "--judged", type=int, default=200, help="videos to find the judge's own error on (200)"
    )
    report.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="bf16 takes about half the time on a CPU (fp32)",
    )
    report.set_defaults(run=run_report)


def _add_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="of all stages (runs)"
    )


def _add_sampling(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", choices=MODELS, default=MODELS[0])
    command.add_argument("--weights", type=Path, metavar="DIR", help="other than Kinema's own")
    command.add_argument("--steps", type=int, default=25, help="of denoising (25)")
    command.add_argument("--guidance", type=float, default=GUIDANCE, help="towards the caption (2)")
    command.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")


def run_train(arguments: argparse.Namespace) -> None:
    """Train a stage to its end."""
    from kinema.recognition.processes import check_device
    from kinema.sprites.training import new_stage, read_recipe, train

    check_device(arguments.device)
    recipe = read_recipe(arguments.recipe, stage=arguments.stage)
    stage = new_stage(recipe, arguments.runs, device=arguments.device)
    folder = arguments.runs / recipe.stage
    num_steps = train(stage, recipe, folder)
    print(f"trained {num_steps} steps; the weights are in {folder / 'export'}")


def run_ship(arguments: argparse.Namespace) -> None:
    """Gather the weights."""
    from kinema.sprites.training.ship import ship

    made = ship(arguments.runs, arguments.output)
    print(f"{arguments.output} has the weights of {', '.join(made['stages'])}")


def run_sample(arguments: argparse.Namespace) -> None:
    """Sample one video; a caption outside the grammar is refused, the model knows no other."""
    from kinema import sprites
    from kinema.measure.obedience import sample
    from kinema.video import write_video
    from kinema.video.encode import video_suffix

    _check_sampling(arguments)
    video_suffix(arguments.output)
    check_seeds(arguments.seed)
    sprites.parse_caption(arguments.caption)
    video = sample(
        _pipeline(arguments),
        [arguments.caption],
        seeds=[arguments.seed],
        num_steps=arguments.steps,
        guidance=arguments.guidance,
    )[0]
    write_video(arguments.output, video, frames_per_second=8)
    print(f"wrote {arguments.output}")


def run_report(arguments: argparse.Namespace) -> None:
    """Sample many captions and judge the videos."""
    from kinema.measure.obedience import report

    _check_sampling(arguments)
    for name in ("prompts", "seeds", "judged"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} is {getattr(arguments, name)}; give 1 or more")
    summary = report(
        _pipeline(arguments),
        arguments.output,
        num_prompts=arguments.prompts,
        num_seeds=arguments.seeds,
        num_steps=arguments.steps,
        guidance=arguments.guidance,
        num_judged=arguments.judged,
        precision=arguments.precision,
    )
    for name, value in summary.items():
        print(f"{name}: {value}")


def _check_sampling(arguments: argparse.Namespace) -> None:
    from kinema.recognition.processes import check_device

    check_device(arguments.device)
    if not math.isfinite(arguments.guidance):
        raise InputError(f"--guidance is {arguments.guidance}; give a finite number")
    if arguments.steps < 1:
        raise InputError(f"--steps is {arguments.steps}; give 1 or more")


def _pipeline(arguments: argparse.Namespace) -> Any:
    from kinema import sprites
    from kinema.cli.quiet import quiet_libraries

    quiet_libraries()
    make = {"text-to-video": sprites.text_to_video, "animatediff": sprites.animatediff}
    pipeline: Any = make[arguments.model](weights=arguments.weights).to(arguments.device)
    check_steps(pipeline, arguments.steps)
    pipeline.set_progress_bar_config(disable=None)
    return pipeline
