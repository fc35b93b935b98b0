"""What a peer learns moves a prompt the clip's way: on the embedded model, by the exact judge."""

import dataclasses
from statistics import fmean, stdev
from typing import Any

import pytest
import torch

from kinema.compare import open_prompts, travelling_references
from kinema.measure import displacement_cosine, judge
from kinema.peers import METHODS
from kinema.sprites import animatediff

NUM_STEPS = 20
PROMPTS, SEEDS = open_prompts(2), (0, 1)


@pytest.fixture(scope="module")
def embedded() -> Any:
    pipe = animatediff()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def cosines(pipe: Any, name: str, **changes: Any) -> list[float]:
    """For each seed the mean over prompts of how much videos go the reference's way."""
    method, (reference,) = METHODS[name], travelling_references(1)
    settings = dataclasses.replace(method.defaults, **changes)
    learned = method.learn(
        pipe, reference.video, prompt=reference.prompt, settings=settings, progress=False
    )
    made = method.generate(
        pipe,
        [prompt for prompt in PROMPTS for _ in SEEDS],
        learned,
        seed=[seed for _ in PROMPTS for seed in SEEDS],
        num_steps=10,
        guidance=3.0,
    )
    paths = judge(made).trajectory
    truth = reference.trajectory.expand_as(paths)
    found: torch.Tensor = displacement_cosine(paths, truth).view(len(PROMPTS), len(SEEDS))
    return found.mean(dim=0).tolist()


@pytest.fixture(scope="module")
def control(embedded: Any) -> list[float]:
    return cosines(embedded, "none")


@pytest.mark.parametrize("name", ["motion-inversion-v1", "motiondirector", "vmc"])
def test_a_few_steps_of_learning_already_show(
    name: str, embedded: Any, control: list[float]
) -> None:
    found = cosines(embedded, name, num_steps=NUM_STEPS, inversion_steps=NUM_STEPS)
    assert fmean(found) > fmean(control) + max(stdev(found), stdev(control)), (found, control)
