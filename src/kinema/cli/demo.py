"""`kinema demo`: what Kinema does, in minutes, ending on a page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from kinema.errors import InputError

if TYPE_CHECKING:
    from kinema.demo import Row


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "demo",
        help="see motion, learn it and reuse it on sprites, in minutes",
        description="Train a small classifier with and without a motion prompt, look at sprites, "
        "and at a video of yours, through what was learned; learn a motion from one clip and give "
        "it to other prompts; and write a page about it all.",
    )
    command.add_argument(
        "video", type=Path, nargs="?", metavar="VIDEO", help="a video of yours to look at too"
    )
    command.add_argument(
        "-o", "--output", type=Path, default=Path("demo"), metavar="DIR", help="where to (demo)"
    )
    command.add_argument(
        "--seeds", type=int, default=1, metavar="N", help="train with so many seeds (1)"
    )
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the demonstration and print its figures and where its page is."""
    from kinema.cli.quiet import quiet_libraries
    from kinema.demo import run_demo

    quiet_libraries()
    if arguments.seeds < 1:
        raise InputError(f"--seeds is {arguments.seeds}; give 1 or more")
    demonstration, page = run_demo(
        arguments.output, video=arguments.video, seeds=range(arguments.seeds)
    )
    for row in demonstration.comparison.rows():
        print(_line(row))
    reused = demonstration.reuse
    print(
        f"motion given to {len(reused.rows)} other prompts: cosine with the reference "
        f"{reused.mean_cosine(with_motion=True):.2f}, without it "
        f"{reused.mean_cosine(with_motion=False):.2f}"
    )
    print(f"took {demonstration.seconds:.0f} s; the page is {page.resolve()}")


def _line(row: "Row") -> str:
    accuracies = " ".join(f"{run.accuracy:.1%}" for run in row.runs)
    spread = f" +- {row.spread:.1%} ({accuracies})" if len(row.runs) > 1 else ""
    learned = "; ".join(f"a {prompt.slope:.1f}, b {prompt.shift:.3f}" for prompt in row.learned)
    return f"{row.model}: {row.accuracy:.1%}{spread}{f'; learned {learned}' if learned else ''}"
