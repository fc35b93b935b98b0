"""When does a motion prompt help? Backbones that mix time late or early, in clutter of all kinds.

The demo's comparison over a grid: how much accuracy two learned numbers add, by what the backbone
can see by itself and by what else is in the picture.
"""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from report import write_report
from torch import Tensor, nn

from kinema.demo import Row, Settings, learn
from kinema.demo.perceive import FrameClassifier
from kinema.sprites import Nuisances

CLUTTER = {
    "none": Nuisances(noise=0.03),
    "6 still shapes": Nuisances(distractors=6, distractor_drift=0.0, noise=0.03),
    "12 still shapes": Nuisances(distractors=12, distractor_drift=0.0, noise=0.03),
    "3 drifting shapes": Nuisances(distractors=3, noise=0.03),
    "camera and flicker": Nuisances(camera=0.2, distractors=3, noise=0.03, flicker=0.1),
}


class SpaceTimeClassifier(nn.Module):
    """A small 3D convolutional network: it can difference frames from its first layer on."""

    def __init__(self, num_classes: int, *, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outer, stride in ((width, 1), (2 * width, 1), (3 * width, 2), (4 * width, 2)):
            layers += [
                nn.Conv3d(channels, outer, 3, stride=(stride, 2, 2), padding=1, bias=False),
                nn.BatchNorm3d(outer),
                nn.ReLU(),
            ]
            channels = outer
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.head = nn.Linear(channels, num_classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Return logits of a clip (B, T, 3, H, W)."""
        logits: Tensor = self.head(self.body(clip.transpose(1, 2)))
        return logits


BACKBONES = {"time late (2D)": FrameClassifier, "time early (3D)": SpaceTimeClassifier}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=Settings().num_steps)
    parser.add_argument("--penalty", type=float, default=Settings().penalty)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    rows = []
    print(f"{'backbone':16} {'clutter':20} {'without':>15} {'with prompt':>15}  learned a; b")
    for backbone, new_backbone in BACKBONES.items():
        for clutter, nuisances in CLUTTER.items():
            settings = replace(
                Settings(),
                nuisances=nuisances,
                num_steps=arguments.steps,
                penalty=arguments.penalty,
            )
            without, prompted = (
                Row(
                    name,
                    [
                        learn(
                            use_prompt=use_prompt,
                            seed=seed,
                            settings=settings,
                            new_backbone=new_backbone,
                        )
                        for seed in range(arguments.seeds)
                    ],
                )
                for name, use_prompt in (("without", False), ("with", True))
            )
            learned = [(round(d.slope or 0, 2), round(d.shift or 0, 3)) for d in prompted.learned]
            cells = [f"{row.accuracy:.1%} +- {row.spread:.1%}" for row in (without, prompted)]
            print(
                f"{backbone:16} {clutter:20} {cells[0]:>15} {cells[1]:>15}  {learned}", flush=True
            )
            rows += [
                {
                    "backbone": backbone,
                    "clutter": clutter,
                    "prompt": row is prompted,
                    "accuracies": [run.accuracy for run in row.runs],
                    "learned": [asdict(each) for each in row.learned],
                }
                for row in (without, prompted)
            ]
    if arguments.json:
        write_report(arguments.json, rows=rows)


if __name__ == "__main__":
    main()
