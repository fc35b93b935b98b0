"""`kinema evaluate`: score a fine-tuned classifier on its test clips, and compare it."""

import argparse
from pathlib import Path

from kinema.cli.finetune import add_machine
from kinema.errors import InputError
from kinema.files import filling


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    command = commands.add_parser(
        "evaluate",
        help="accuracy of a fine-tuned run over views and crops; compare two runs",
        description="Write evaluation.json (top-1, top-5, mean class accuracy, each class, "
        "confusion matrix), predictions.jsonl and confusion.png; with --compare also "
        "comparison.json, class_difference.png and weight_similarity.png.",
    )
    command.add_argument("run_folder", type=Path, metavar="RUN", help="folder of kinema finetune")
    command.add_argument(
        "--data", type=Path, metavar="ROOT", help="where the videos are (where they were)"
    )
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    command.add_argument("--views", type=int, help="clips spread over a video (the recipe's)")
    command.add_argument("--crops", type=int, help="crops of each, 1 to 3 (the recipe's)")
    command.add_argument(
        "--compare",
        type=Path,
        metavar="RUN2",
        help="another run to compare with: figures are RUN less RUN2",
    )
    add_machine(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Evaluate, and compare where it is asked for."""
    from kinema.recognition import compare, evaluate, write_comparison, write_evaluation
    from kinema.recognition.comparison import check_comparable
    from kinema.recognition.evaluation import Evaluation
    from kinema.recognition.run import read_run

    def score(folder: Path) -> Evaluation:
        return evaluate(
            folder,
            data=arguments.data,
            num_views=arguments.views,
            num_crops=arguments.crops,
            device=arguments.device,
            on_error=arguments.on_error,
            progress=True,
        )

    # What cannot go well is known before hours of it.
    if arguments.compare is not None:
        if not arguments.compare.is_dir():
            raise InputError(f"there is no run {arguments.compare}; give the folder of another run")
        check_comparable(read_run(arguments.run_folder), read_run(arguments.compare))
    with filling(arguments.output) as temporary:
        evaluation = score(arguments.run_folder)
        write_evaluation(evaluation, temporary)
    comparison = None
    if arguments.compare is not None:
        comparison = compare(evaluation, score(arguments.compare))
    scores = evaluation.scores
    print(
        f"{len(evaluation.prediction.labels)} clips in {evaluation.num_views} views of "
        f"{evaluation.num_crops} crops: top-1 {scores.top1:.1%}, top-5 {scores.top5:.1%}, "
        f"mean class accuracy {scores.mean_class_accuracy:.1%}"
    )
    if evaluation.num_missing_clips:
        print(f"left out: {evaluation.num_missing_clips} clips of the list that are not there")
    for error in evaluation.broken_clips:
        print(f"skipped: {error}")
    if comparison is not None:
        write_comparison(comparison, arguments.output)
        print(
            f"over {arguments.compare}: top-1 {100 * comparison.top1_difference:+.1f} points, mean "
            f"class accuracy {100 * comparison.mean_class_difference:+.1f}; {comparison.won} clips "
            f"won, {comparison.lost} lost"
        )
    print(f"wrote {arguments.output}")
