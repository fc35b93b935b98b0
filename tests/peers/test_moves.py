"""What a peer learns moves a prompt the clip's way: on the embedded model, by the exact judge."""

import dataclasses
from statistics import fmean, stdev
from typing import Any

import pytest
import torch

from kinema.compare import open_prompts, travelling_references
from kinema.measure import displacement_cosine, judge
from kinema.peers import METHODS, DmtSettings
from kinema.sprites import animatediff

NUM_STEPS, SAMPLING_STEPS = 20, 10
PROMPTS, SEEDS = open_prompts(2), (0, 1)


@pytest.fixture(scope="module")
def embedded() -> Any:
    pipe = animatediff()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def cosines(pipe: Any, name: str, **changes: Any) -> list[float]:
    """For each seed the mean over prompts of how much videos go the reference's way."""
    settings = dataclasses.replace(METHODS[name].defaults, **changes)
    return cosines_of(pipe, name, settings, PROMPTS)


def cosines_of(pipe: Any, name: str, settings: Any, prompts: list[str]) -> list[float]:
    method, (reference,) = METHODS[name], travelling_references(1)
    learned = method.learn(
        pipe, reference.video, prompt=reference.prompt, settings=settings, progress=False
    )
    made = method.generate(
        pipe,
        [prompt for prompt in prompts for _ in SEEDS],
        learned,
        seed=[seed for _ in prompts for seed in SEEDS],
        num_steps=SAMPLING_STEPS,
        guidance=3.0,
    )
    paths = judge(made).trajectory
    truth = reference.trajectory.expand_as(paths)
    found: torch.Tensor = displacement_cosine(paths, truth).view(len(prompts), len(SEEDS))
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


def test_dmt_moves_these_models_by_features_of_parts_of_the_frame(
    embedded: Any, control: list[float]
) -> None:
    # Means over the whole frame, as published, say too little of where a thing is here.
    settings = DmtSettings(grid=4, learning_rates=(0.021, 0.012), inversion_steps=NUM_STEPS).over(
        SAMPLING_STEPS
    )
    found = cosines_of(embedded, "dmt", settings, PROMPTS[:1])
    assert fmean(found) > fmean(control) + max(stdev(found), stdev(control)), (found, control)
