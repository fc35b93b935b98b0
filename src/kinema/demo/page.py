"""The page on which the demonstration ends: pictures and figures, and what they were made with."""

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from kinema.demo.generate import Generated
from kinema.demo.perceive import CLASSES, Comparison, Settings
from kinema.demo.reuse import REFERENCE_CAPTION, Reuse
from kinema.motion_prompt.see import Sight
from kinema.pages import write_template

PAGE = "index.html"


@dataclass(frozen=True)
class Demonstration:
    """All that the page shows.

    Attributes:
        settings: of the comparison.
        seeds: of its trainings.
        comparison: accuracies and learned prompts.
        sights: folder name, title and result of each video seen.
        generated: videos of the embedded text-to-video model.
        reuse: a motion learned from one clip and given to other prompts.
        seconds: the whole took.
    """

    settings: Settings
    seeds: list[int]
    comparison: Comparison
    sights: list[tuple[str, str, Sight]]
    generated: list[Generated]
    reuse: Reuse
    seconds: float


def write_page(folder: Path, demonstration: Demonstration) -> Path:
    """Write `index.html` into `folder`, whose pictures and videos it shows; return its path."""
    return write_template(
        folder / PAGE,
        "index.html",
        package="kinema.demo",
        rows=demonstration.comparison.rows(),
        chance=1 / len(CLASSES),
        num_classes=len(CLASSES),
        settings=asdict(demonstration.settings),
        seeds=demonstration.seeds,
        sights=demonstration.sights,
        generated=demonstration.generated,
        reuse=demonstration.reuse,
        reference_caption=REFERENCE_CAPTION,
        seconds=demonstration.seconds,
        version=version("kinema"),
        torch_version=torch.__version__,
        python_version=platform.python_version(),
        num_cores=os.cpu_count(),
    )
