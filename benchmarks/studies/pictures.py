"""Pictures of the UT-Interaction study: what prompts attend to, and how runs learned.

    python benchmarks/studies/pictures.py --data DIR --folder study --media docs/media

`ut-attention.png` shows a clip of each class that was not trained on, and its attention maps by
the prompts that runs of the study learned. `ut-curves.png` has the share of training clips found,
epoch by epoch, of each backbone and front end.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
from cells import RESULT
from ut_interaction import SHORT_SIDE

import kinema
from kinema.datasets import Clip, ut_interaction
from kinema.files import replacing
from kinema.motion_prompt import LearnableSigmoid, MotionPrompt

LEARNED_BY = ("prompt, lambda 0", "prompt, lambda 1")
NUM_COLUMNS, TILE_HEIGHT = 3, 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the two sets")
    parser.add_argument("--folder", type=Path, required=True, help="of the study")
    parser.add_argument("--backbone", default="slowfast")
    parser.add_argument("--start", default="none")
    parser.add_argument("--media", type=Path, default=Path("docs/media"))
    arguments = parser.parse_args()
    results = [json.loads(path.read_text()) for path in arguments.folder.glob(f"*/{RESULT}")]
    results = [each for each in results if each.get("start") == arguments.start]
    picture = attention_sheet(arguments.data, results, backbone=arguments.backbone)
    kinema.video.write_image(arguments.media / "ut-attention.png", picture)
    draw_curves(arguments.media / "ut-curves.png", results)


def attention_sheet(data: Path, results: list[dict], *, backbone: str) -> torch.Tensor:  # type: ignore[type-arg]
    """Lay frames and maps of a clip of each class on a sheet, `(3, H, W)` uint8."""
    learned = {
        each["front_end"]: each["learned"]
        for each in results
        if (each["backbone"], each["split"], each["seed"]) == (backbone, "set1", 0)
        and each["front_end"] in LEARNED_BY
    }
    tested = ut_interaction(data, across="set1", subset="test")
    first = {clip.label: clip for clip in reversed(tested.clips)}
    rows = {}
    for label, name in enumerate(tested.classes):
        frames = _shown(first[label])
        rows[name] = frames[1:]
        for front_end, numbers in learned.items():
            layer = MotionPrompt(
                mean=(0.0,) * 3,
                std=(1.0,) * 3,
                layout="BTCHW",
                normalisation=LearnableSigmoid(m=numbers["prompt_m"], n=numbers["prompt_n"]),
            )
            with torch.no_grad():
                attention = layer(frames[None]).attention[0]
            rows[f"{name}, {front_end.partition(', ')[2]}"] = attention
    return kinema.video.contact_sheet(rows, num_columns=NUM_COLUMNS, tile_height=TILE_HEIGHT)


def _shown(clip: Clip) -> torch.Tensor:
    """Sixteen spread frames and the one before, `(17, 3, H, W)` in [0, 1], as runs see them."""
    return kinema.read_video(clip.path, num_frames=17, size=SHORT_SIDE).frames / 255


def draw_curves(path: Path, results: list[dict]) -> None:  # type: ignore[type-arg]
    """Draw the mean training accuracy over runs, a panel a backbone and a line a front end."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    curves = defaultdict(lambda: defaultdict(list))
    for each in results:
        if each["protocol"] == "sites":
            curves[each["backbone"]][each["front_end"]].append(each["training_accuracy"])
    figure, axes = pyplot.subplots(
        1, len(curves), figsize=(4 * len(curves), 3), sharey=True, squeeze=False
    )
    for panel, (backbone, lines) in zip(axes[0], sorted(curves.items()), strict=True):
        for front_end, runs in lines.items():
            panel.plot(torch.tensor(runs).mean(dim=0), label=f"{front_end} ({len(runs)})")
        panel.set(title=backbone, xlabel="epoch", ylim=(0, 1))
        panel.legend(fontsize=7)
    axes[0][0].set_ylabel("training clips found")
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
