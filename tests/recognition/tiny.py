"""Recipes of runs that take a second, and a folder of rendered clips to run them on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinema.recognition import Recipe
from kinema.sprites import render, sample_scenes
from kinema.video import write_video

MOTIONS = ("up", "right", "still")

TRANSFORMER = Recipe(
    dataset="sprites_actions",
    dataset_arguments={"num_clips": 24, "num_test_clips": 12, "classes": list(MOTIONS)},
    backbone="timesformer",
    backbone_sizes={"width": 16, "depth": 1, "num_heads": 2, "patch_size": 8},
    num_frames=4,
    frame_stride=1,
    size=16,
    num_epochs=2,
    batch_size=4,
    learning_rate=1e-3,
    optimiser="adamw",
    num_workers=0,
)
"""Without batch norm or dropout."""

X3D_SIZES = {"width": 8, "depths": [1, 1, 1, 1], "head_width": 16, "dropout": 0.5}
CONVOLUTIONAL = replace(TRANSFORMER, backbone="x3d_s", backbone_sizes=X3D_SIZES)
"""With batch norm and dropout."""


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """Write a recipe as the TOML file that it could have come from."""
    lines = (f"{key} = {_toml(v)}\n" for key, v in recipe.as_dict().items() if v is not None)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + "}"
    return json.dumps(value)


def write_clips(root: Path, *, num_train: int = 8, num_test: int = 3) -> Path:
    """Write a folder for each of three motions with videos of 8 frames, 24 x 32 pixels."""
    for subset, number in (("train", num_train), ("test", num_test)):
        for label, motion in enumerate(MOTIONS):
            scenes = sample_scenes(number, seed=label + 10 * len(subset), motions=[motion])
            video = render(scenes, num_frames=8, height=24, width=32).video
            folder = root / subset / motion
            folder.mkdir(parents=True)
            for i in range(number):
                write_video(folder / f"{i}.mp4", video[i], frames_per_second=8)
    return root
