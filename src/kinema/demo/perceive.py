"""Learn a motion prompt for real: a small classifier, with and without it, on motion alone.

Every clip shows one moving sprite among sprites that stay put. Colour, shape, size, background and
clutter are drawn independently of the motion, so appearance tells nothing about the class.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, stdev

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from kinema.motion_prompt import MotionPrompt, parameter_groups, with_motion_prompt
from kinema.motion_prompt.diagnostics import PromptDiagnostics
from kinema.sprites import MOTIONS, Nuisances, render, sample_scenes

CLASSES = (
    "right",
    "left",
    "up",
    "down",
    "circle-clockwise",
    "circle-counterclockwise",
    "grow",
    "shrink",
    "shake",
    "still",
)
_MEAN, _STD = 0.45, 0.225


@dataclass(frozen=True)
class Settings:
    """Settings of the comparison; the two models differ in nothing but the prompt.

    Attributes:
        num_training_clips: few, as where people fine-tune.
        num_test_clips: of other scenes.
        num_frames: that the backbone takes; a clip has one more.
        frame_size: height and width, pixels.
        num_steps: optimiser steps.
        batch_size: clips a step.
        learning_rate: of the backbone, at its highest.
        prompt_learning_rate: of m and n, at its highest.
        penalty: weight of the temporal attention variation.
        nuisances: what the clips are cluttered with.
    """

    num_training_clips: int = 500
    num_test_clips: int = 1000
    num_frames: int = 8
    frame_size: int = 32
    num_steps: int = 300
    batch_size: int = 32
    learning_rate: float = 3e-3
    prompt_learning_rate: float = 5e-2
    penalty: float = 0.01
    nuisances: Nuisances = field(
        default_factory=lambda: Nuisances(distractors=12, distractor_drift=0.0, noise=0.03)
    )


class FrameClassifier(nn.Module):
    """A small classifier that looks at frames one by one and mixes them over time at the end.

    So do the image-trained video models that people fine-tune (TSN, TimeSformer): what is
    background in a frame is only found out late.
    """

    def __init__(self, num_classes: int, *, width: int = 24, num_features: int = 96) -> None:
        super().__init__()
        channels = (3, width, 2 * width, 2 * width)
        layers: list[nn.Module] = []
        for inner, outer in pairwise(channels):
            layers += [
                nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outer),
                nn.ReLU(),
            ]
        self.frames = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.features = nn.Linear(channels[-1] * 16, num_features)
        self.time = nn.Sequential(
            nn.Conv1d(num_features, num_features, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(num_features, num_features, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(num_features, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Return logits (B, num_classes) of a normalised clip (B, T, 3, H, W)."""
        features = self.features(self.frames(clip.flatten(0, 1))).unflatten(0, clip.shape[:2])
        mixed: Tensor = self.time(features.transpose(1, 2)).mean(dim=-1)
        logits: Tensor = self.head(mixed)
        return logits


@dataclass(frozen=True)
class Learned:
    """One trained model: `accuracy` in [0, 1] on the test clips, and its prompt, if any."""

    accuracy: float
    prompt: MotionPrompt | None
    diagnostics: PromptDiagnostics | None


@dataclass(frozen=True)
class Comparison:
    """Trained models without and with a motion prompt, one a seed."""

    without: list[Learned]
    with_prompt: list[Learned]

    def rows(self) -> list["Row"]:
        """Return the two rows of the table of results."""
        return [
            Row("without motion prompt", self.without),
            Row("with motion prompt", self.with_prompt),
        ]


@dataclass(frozen=True)
class Row:
    """One model over all seeds."""

    model: str
    runs: list[Learned]

    @property
    def accuracy(self) -> float:
        """Mean accuracy in [0, 1]."""
        return mean(run.accuracy for run in self.runs)

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracy over seeds; 0 for one seed."""
        return stdev(run.accuracy for run in self.runs) if len(self.runs) > 1 else 0.0

    @property
    def learned(self) -> list[PromptDiagnostics]:
        """What each seed's prompt has become; empty without a prompt."""
        return [run.diagnostics for run in self.runs if run.diagnostics is not None]


def draw_clips(num_clips: int, *, seed: int, settings: Settings) -> tuple[Tensor, Tensor]:
    """Return normalised clips (N, T+1, 3, H, W) and labels (N,), indices into `CLASSES`."""
    scenes = sample_scenes(num_clips, seed=seed, motions=CLASSES, nuisances=settings.nuisances)
    video = render(
        scenes,
        num_frames=settings.num_frames + 1,
        height=settings.frame_size,
        width=settings.frame_size,
    ).video
    names = tuple(MOTIONS)
    label_of_motion = torch.full((len(names),), -1)
    label_of_motion[[names.index(name) for name in CLASSES]] = torch.arange(len(CLASSES))
    return (video - _MEAN) / _STD, label_of_motion[scenes.motion]


def learn(
    *,
    use_prompt: bool,
    seed: int,
    settings: Settings,
    new_backbone: Callable[[int], nn.Module] = FrameClassifier,
    progress: bool = True,
) -> Learned:
    """Train a small classifier, with a motion prompt or without, and test it.

    Without, it gets the same T frames that the prompts are made of: all but the first.

    Args:
        use_prompt: put a motion prompt before the backbone.
        seed: of weights, training clips and their order; test clips are the same for all.
        settings: of the comparison.
        new_backbone: makes a classifier of (B, T, 3, H, W) for a number of classes.
        progress: show a bar.
    """
    torch.manual_seed(seed)
    backbone = new_backbone(len(CLASSES))
    prompt = MotionPrompt(mean=(_MEAN,) * 3, std=(_STD,) * 3, penalty=settings.penalty)
    prompted = with_motion_prompt(backbone, prompt=prompt, num_frames=settings.num_frames)
    model = prompted if use_prompt else backbone
    groups = parameter_groups(
        model,
        lr=settings.learning_rate,
        prompt_lr=settings.prompt_learning_rate,
        weight_decay=1e-2,
    )
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in groups], total_steps=settings.num_steps
    )
    # Test clips have a seed of their own, the same for all models.
    clips, labels = draw_clips(settings.num_training_clips, seed=1000 + seed, settings=settings)
    name = "with prompt" if use_prompt else "without prompt"
    generator = torch.Generator().manual_seed(seed)
    model.train()
    # None: a bar on a terminal, nothing in a file.
    quiet = None if progress else True
    for _ in tqdm(range(settings.num_steps), desc=f"train {name}", disable=quiet):
        rows = torch.randint(len(clips), (settings.batch_size,), generator=generator)
        if use_prompt:
            loss = prompted.loss(prompted(clips[rows]), labels[rows])
        else:
            loss = F.cross_entropy(backbone(clips[rows, 1:]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    model.eval()
    test_clips, test_labels = draw_clips(settings.num_test_clips, seed=0, settings=settings)
    right, attention = 0, []
    with torch.no_grad():
        for some, theirs in zip(test_clips.split(100), test_labels.split(100), strict=True):
            if use_prompt:
                output = prompted(some)
                attention.append(output.attention)
                logits = output.logits
            else:
                logits = backbone(some[:, 1:])
            right += int((logits.argmax(dim=1) == theirs).sum())
    return Learned(
        accuracy=right / len(test_clips),
        prompt=prompt if use_prompt else None,
        diagnostics=prompt.diagnostics(torch.cat(attention)) if use_prompt else None,
    )


def compare(*, seeds: list[int], settings: Settings, progress: bool = True) -> Comparison:
    """Train both models once for each seed."""
    runs = {
        use_prompt: [
            learn(use_prompt=use_prompt, seed=seed, settings=settings, progress=progress)
            for seed in seeds
        ]
        for use_prompt in (False, True)
    }
    return Comparison(without=runs[False], with_prompt=runs[True])
