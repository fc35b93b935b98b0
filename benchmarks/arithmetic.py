"""Does arithmetic on motions do to a path what it says? Judged on the embedded models.

Motions of two rendered references are learned, and every result of arithmetic on them is given to
the same prompts and seeds. Where the sprite went is held against where it should have gone by the
references' own paths: half of it for `0.5 * a`, the mean for `0.5 * a + 0.5 * b`, `a` played
backwards for `reversed`, the whole of `a` in fewer or more frames for `resampled`. Each is tried
with each of `--values`, the ways to use a value embedding.

    python benchmarks/arithmetic.py --json docs/results/arithmetic.json
    python benchmarks/arithmetic.py --pipelines sprites-animatediff --prompts 2 --seeds 1
    python benchmarks/arithmetic.py --blocks all --value-form coarse
"""

import argparse
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
import torch.nn.functional as F
from report import write_report
from torch import Tensor
from tqdm import tqdm

from kinema.compare import Reference, open_prompts, travelling_references
from kinema.measure import displacement_cosine, judge, path_error
from kinema.motion_inversion import PRESETS, VALUE_MODES, Motion, generate, invert
from kinema.motion_inversion.parameters import VALUE_FORMS
from kinema.motion_inversion.pipelines import EMBEDDED, load_pipeline
from kinema.precision import PRECISIONS, computing_in

PAIRS = (("right", "up"), ("down-left", "right"), ("circle-clockwise", "up"))
"""Motions `a` and `b` of each trial. The second pair has its horizontal ways against each other."""
DEFAULT_VALUES = ("centred", "debiased", "raw")


@dataclass(frozen=True, eq=False)
class Case:
    """A motion made by arithmetic, and the path (T, 2) that it should lead along."""

    name: str
    motion: Motion
    path: Tensor


def cases(a: Motion, b: Motion, path_a: Tensor, path_b: Tensor) -> list[Case]:
    """Return everything that is tried on one pair of motions."""
    return [
        Case("a", a, path_a),
        Case("b", b, path_b),
        Case("0.5 a", 0.5 * a, path_a / 2),
        Case("0.5 a + 0.5 b", 0.5 * a + 0.5 * b, (path_a + path_b) / 2),
        Case("a reversed", a.reversed(), path_a.flip(0)),
        Case("a in 12 frames", a.resampled(12), resampled(path_a, 12)),
        Case("a in 24 frames", a.resampled(24), resampled(path_a, 24)),
    ]


def resampled(path: Tensor, num_frames: int) -> Tensor:
    """Return a path (T, 2) over another number of frames."""
    return F.interpolate(path.T[None], size=num_frames, mode="linear", align_corners=True)[0].T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pipelines", nargs="+", choices=EMBEDDED, default=list(EMBEDDED))
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--values", nargs="+", choices=VALUE_MODES, default=DEFAULT_VALUES)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of sampling")
    parser.add_argument("--batch-size", type=int, default=4, help="videos at once")
    parser.add_argument("--blocks", default="paper", help="which get embeddings")
    parser.add_argument("--value-form", choices=VALUE_FORMS, default="full", help="of embeddings")
    arguments = parser.parse_args()

    references = {each.name.partition("-")[2]: each for each in travelling_references()}
    rows: list[dict[str, Any]] = []
    for name in arguments.pipelines:
        # In float32 on a GPU too, so that figures are those of a CPU.
        pipe = load_pipeline(name, dtype=torch.float32)
        found: dict[tuple[str, str], list[dict[str, float]]] = {}
        for pair in PAIRS[: arguments.pairs]:
            for case, figures in _trial(pipe, [references[one] for one in pair], arguments):
                found.setdefault(case, []).append(figures)
        rows += [
            {"pipeline": name, "motion": case, "value": value, **_summary(all_)}
            for (case, value), all_ in found.items()
        ]
    _print(rows)
    if arguments.json:
        write_report(
            arguments.json,
            device=pipe.device,
            pairs=PAIRS[: arguments.pairs],
            prompts=open_prompts(arguments.prompts),
            num_seeds=arguments.seeds,
            blocks=arguments.blocks,
            value_form=arguments.value_form,
            rows=rows,
        )


def _trial(
    pipe: Any, pair: Sequence[Reference], arguments: argparse.Namespace
) -> list[tuple[tuple[str, str], dict[str, float]]]:
    """Learn a pair of motions and judge every case and use on every prompt and seed."""
    settings = replace(PRESETS["default"], blocks=arguments.blocks, value=arguments.value_form)
    a, b = (
        invert(pipe, each.video, prompt=each.prompt, settings=settings, seed=0, progress=False)
        for each in pair
    )
    paths = [each.trajectory for each in pair]
    assert paths[0] is not None
    assert paths[1] is not None
    found = []
    videos = list(itertools.product(open_prompts(arguments.prompts), range(arguments.seeds)))
    size = arguments.batch_size
    tried = itertools.product(
        cases(a, b, paths[0], paths[1]),
        arguments.values,
        [videos[first : first + size] for first in range(0, len(videos), size)],
    )
    for case, value, some in tqdm(list(tried), desc=" and ".join(x.name for x in pair)):
        with computing_in(arguments.precision, pipe.device):
            made = generate(
                pipe,
                [prompt for prompt, _ in some],
                motion=case.motion,
                value=value,
                seed=[seed for _, seed in some],
                num_steps=arguments.steps,
                guidance=arguments.guidance,
            )
        for path in judge(made).trajectory.split(1):
            figures = {
                "displacement_cosine": _cosine(path, case.path),
                "cosine_with_a": _cosine(path, paths[0]),
                "cosine_with_b": _cosine(path, paths[1]),
                "path_error": path_error(path, case.path[None]).item(),
                "relative_speed": _speed(path[0]) / _speed(case.path),
            }
            found.append(((case.name, value), figures))
    return found


def _cosine(path: Tensor, wanted: Tensor) -> float:
    return displacement_cosine(path, wanted[None]).item()


def _speed(path: Tensor) -> float:
    """Root mean square distance of a path (T, 2) from its mean, in half frame widths, over T: the
    same path in twice as many frames is half as fast."""
    apart = path - path.mean(dim=0)
    return apart.square().sum(dim=1).mean().sqrt().item() / len(path)


def _summary(figures: list[dict[str, float]]) -> dict[str, Any]:
    """Return the mean and the standard deviation of each figure over all videos."""
    summary: dict[str, Any] = {"num_videos": len(figures)}
    for name in figures[0]:
        values = [each[name] for each in figures]
        summary[name] = {"mean": fmean(values), "spread": stdev(values) if values[1:] else 0.0}
    return summary


def _print(rows: list[dict[str, Any]]) -> None:
    names = [name for name in rows[0] if isinstance(rows[0][name], dict)]
    print(f"{'pipeline':<24}{'motion':<16}{'value':<10}" + "".join(f"{name:>22}" for name in names))
    for row in rows:
        figures = "".join(
            f"{row[name]['mean']:>14.2f} +- {row[name]['spread']:.2f}" for name in names
        )
        print(f"{row['pipeline']:<24}{row['motion']:<16}{row['value']:<10}{figures}")


if __name__ == "__main__":
    main()
