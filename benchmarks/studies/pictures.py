"""Pictures of the UT-Interaction study: what prompts attend to, and how runs learned.

    python benchmarks/studies/pictures.py --data DIR --tables docs/results/ut-*.json

`ut-attention.png` shows a clip of each class that was not trained on, and its attention maps by
the prompts that runs of the study learned. `ut-curves.png` has the share of training clips found,
epoch by epoch, of each backbone, start and front end. Both are drawn from the runs in tables.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
from ut_interaction import FRONT_ENDS, SHORT_SIDE

import kinema
from kinema.datasets import Clip, ut_interaction
from kinema.files import replacing
from kinema.motion_prompt import LearnableSigmoid, MotionPrompt

LEARNED_BY = ("prompt, lambda 0", "prompt, lambda 1")
NUM_COLUMNS, TILE_HEIGHT = 3, 96


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the two sets")
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="of the study")
    parser.add_argument("--backbone", default="slowfast", help="whose prompts are shown")
    parser.add_argument("--start", default="sprites", help="which they were learned from")
    parser.add_argument("--media", type=Path, default=Path("docs/media"))
    arguments = parser.parse_args()
    tables = [json.loads(path.read_text()) for path in arguments.tables]
    runs = [run for each in tables for run in each.get("runs", [])]
    shown = [
        run
        for run in runs
        if (run["backbone"], run["start"]) == (arguments.backbone, arguments.start)
    ]
    picture = attention_sheet(arguments.data, shown)
    kinema.video.write_image(arguments.media / "ut-attention.png", picture)
    draw_curves(arguments.media / "ut-curves.png", runs)


def attention_sheet(data: Path, runs: list[dict]) -> torch.Tensor:  # type: ignore[type-arg]
    """Lay frames and maps of a clip of each class on a sheet, `(3, H, W)` uint8."""
    learned = {
        run["front_end"]: run["learned"]
        for run in runs
        if (run["split"], run["seed"]) == ("set1", 0) and run["front_end"] in LEARNED_BY
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


def draw_curves(path: Path, runs: list[dict]) -> None:  # type: ignore[type-arg]
    """Draw the mean training accuracy over runs across sites: a panel a backbone and start."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    curves = defaultdict(lambda: defaultdict(list))
    for run in runs:
        if run["protocol"] == "sites" and run["front_end"] in FRONT_ENDS:
            start = {"none": "from scratch"}.get(run["start"], f"from {run['start']}")
            curves[start][run["backbone"], run["front_end"]].append(run["training_accuracy"])
    backbones = sorted({backbone for lines in curves.values() for backbone, _ in lines})
    figure, axes = pyplot.subplots(
        len(curves),
        len(backbones),
        figsize=(4 * len(backbones), 3 * len(curves)),
        sharey=True,
        squeeze=False,
    )
    for row, (start, lines) in zip(axes, sorted(curves.items()), strict=True):
        row[0].set_ylabel("training clips found")
        for panel, backbone in zip(row, backbones, strict=True):
            for front_end in FRONT_ENDS:
                if same := lines[backbone, front_end]:
                    mean = torch.tensor(same).mean(dim=0)
                    panel.plot(mean, label=f"{front_end} ({len(same)} runs)")
            panel.set(title=f"{backbone}, {start}", xlabel="epoch", ylim=(0, 1))
            if panel.lines:
                panel.legend(fontsize=7)
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
