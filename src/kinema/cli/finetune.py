"""`kinema finetune`: train a video classifier, with motion prompts or without."""

import argparse
from pathlib import Path
from typing import Any


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "finetune",
        help="train a backbone with or without motion prompts by a recipe",
        description="Train by a recipe. DIR gets what was learned, a line for each step and epoch, "
        "and a checkpoint; a killed run goes on from it to the same weights. Several processes, "
        "also on several machines: torchrun --nproc-per-node N -m kinema finetune ...",
    )
    command.add_argument(
        "recipe",
        metavar="RECIPE",
        help="a .toml file, or the name of one of Kinema's; a wrong name lists them",
    )
    command.add_argument("--data", type=Path, metavar="ROOT", help="where the videos are")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another setting than the recipe's, such as num_epochs=3 or dataset_arguments.split=2",
    )
    command.add_argument("--resume", action="store_true", help="go on from the checkpoint in DIR")
    add_machine(command)
    command.set_defaults(run=run)


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add what `finetune` and `evaluate` share."""
    command.add_argument("--device", help="cpu or cuda (a GPU where there is one)")
    command.add_argument(
        "--on-error",
        choices=("fail", "skip"),
        help="stop at a video that cannot be read, or skip and count it (the recipe's)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train to the end."""
    from kinema.recognition import finetune, read_recipe
    from kinema.recognition.processes import is_main_process, leave_processes

    settings = list(arguments.settings)
    if arguments.on_error:
        settings.append(f"on_error={arguments.on_error}")
    recipe = read_recipe(arguments.recipe, settings=settings)
    summary = finetune(
        recipe,
        arguments.output,
        data=arguments.data,
        resume=arguments.resume,
        device=arguments.device,
        progress=True,
    )
    leave_processes()
    if is_main_process():
        _report(summary, arguments.output)


def _report(summary: dict[str, Any], folder: Path) -> None:
    last = summary["last_epoch"]
    parts = [
        f"{summary['num_steps']} steps on {summary['num_clips']} clips",
        f"loss {last['loss']:.4f}",
        f"top-1 in training {last['top1']:.1%}",
    ]
    if "test_top1" in last:
        parts.append(f"in test {last['test_top1']:.1%}")
    if last.get("prompt_slope") is not None:
        parts.append(f"prompt a {last['prompt_slope']:.2f}, b {last['prompt_shift']:.3f}")
    parts.append(f"{summary['share_waiting_for_data']:.0%} of the time waiting for data")
    print("; ".join(parts))
    for error in summary["broken_clips"]:
        print(f"skipped: {error}")
    print(f"wrote {folder}")
