"""What a motion prompt costs in a training step, and how long a step waits for its clips.

TimeSformer-B by default, as in the published setting. Steps on plain frames (the limit), with the
prompt, and with the published layer in its place take turns, so that what else the machine does
falls on all. Then the batch grows. At last a real run with readers of its own says what
share of its steps was spent waiting for data; its first step, in which the readers start, is left
out.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from growth import draw_growth, print_growth
from prompt_layer import Published
from report import write_report
from torch import Tensor, nn

from kinema.lines import read_lines
from kinema.motion_prompt import MotionPromptClassifier, from_canonical
from kinema.recognition import Recipe, finetune, new_model

BASE = Recipe(
    dataset="sprites_actions",
    backbone="timesformer",
    num_frames=8,
    frame_stride=32,
    size=224,
    num_epochs=1,
    batch_size=8,
    learning_rate=0.005,
)
NUM_CLASSES = 67


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    has_gpu = torch.cuda.is_available()
    parser.add_argument("--steps", type=int, default=10 if has_gpu else 3, help="that are timed")
    parser.add_argument("--batch", type=int, default=BASE.batch_size if has_gpu else 1)
    parser.add_argument("--size", type=int, default=BASE.size)
    parser.add_argument("--width", type=int, help="of the backbone, other than 768")
    parser.add_argument("--depth", type=int, help="of the backbone, other than 12")
    parser.add_argument("--heads", type=int, help="of the backbone, other than 12")
    parser.add_argument("--device", default="cuda" if has_gpu else "cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder of train/CLASS/VIDEO, else sprites")
    parser.add_argument("--growth", type=int, nargs="*", help="other batches (twice)")
    parser.add_argument("--plot", type=Path, help="draw how a step grows with the batch")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    sizes = {"width": arguments.width, "depth": arguments.depth, "num_heads": arguments.heads}
    recipe = replace(
        BASE,
        batch_size=arguments.batch,
        size=arguments.size,
        precision=arguments.precision,
        num_workers=arguments.workers,
        backbone_sizes={name: value for name, value in sizes.items() if value},
    )
    batch = arguments.batch
    growth: dict[str, dict[int, dict[str, float]]] = {"batch": {}}
    others = [2 * batch] if arguments.growth is None else arguments.growth
    for size in (batch, *others):
        timed = time_steps(
            replace(recipe, batch_size=size), num_steps=arguments.steps, device=arguments.device
        )
        growth["batch"][size] = {name: median(each) for name, each in timed.items()}
        if size == batch:
            seconds = timed
    plain, prompted, published, alone = (
        growth["batch"][batch][key] for key in ("plain", "prompted", "published", "alone")
    )
    waited = share_waiting(
        recipe, data=arguments.data, num_steps=arguments.steps, device=arguments.device
    )
    rows = {
        "step on plain frames, s": plain,
        "step with a motion prompt, s": prompted,
        "step with the published layer, s": published,
        "motion prompt alone, forward and backward, s": alone,
        "share of the step that is the prompt": alone / prompted,
        "step longer by": prompted / plain - 1,
        "share of a run's steps waiting for data": waited,
    }
    for name, value in rows.items():
        shown = f"{value:.4f}" if name.endswith(", s") else f"{value:.2%}"
        print(f"{name:48} {shown:>10}")
    print_growth(growth, unit="s a step")
    if arguments.plot:
        draw_growth(growth, arguments.plot, unit="s a step")
    if arguments.json:
        write_report(
            arguments.json,
            device=arguments.device,
            recipe=recipe.as_dict(),
            seconds=seconds,
            growth=growth,
            **rows,
        )


def time_steps(recipe: Recipe, *, num_steps: int, device: str) -> dict[str, list[float]]:
    """Seconds of each step on plain frames, with a prompt, and of the prompt by itself."""
    clip = torch.randn(recipe.batch_size, recipe.num_clip_frames, 3, recipe.size, recipe.size)
    labels = torch.randint(NUM_CLASSES, (recipe.batch_size,), device=device)
    takers: dict[str, Callable[[], Any]] = {}
    for name, front_end in (("plain", "frames"), ("prompted", "motion-prompt")):
        torch.manual_seed(0)
        made = new_model(replace(recipe, front_end=front_end), num_classes=NUM_CLASSES)
        model = made.to(device)
        laid_out = from_canonical(clip.to(device), model.prompt.layout)
        bf16 = recipe.precision == "bf16"
        takers[name] = _step(model, laid_out, labels, bf16=bf16)
        if name == "prompted":
            takers["alone"] = _prompt_alone(model, laid_out)
    takers["published"] = _step(AsPublished(model).to(device), clip.to(device), labels, bf16=bf16)
    seconds: dict[str, list[float]] = {name: [] for name in takers}
    for i in range(num_steps + 2):
        for name, take in takers.items():
            began = time.perf_counter()
            take()
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize()
            # The first two are warm-up.
            if i >= 2:
                seconds[name].append(time.perf_counter() - began)
    return seconds


class AsPublished(nn.Module):
    """The same classifier behind the published layer, whose loss has the variation too."""

    def __init__(self, model: MotionPromptClassifier) -> None:
        super().__init__()
        self.layer, self.backbone = Published(), model.backbone

    def forward(self, clip: Tensor, *, labels: Tensor) -> Any:
        """A clip `(B, T, C, H, W)` and its labels to what has a loss."""
        video, variation = self.layer(clip.transpose(1, 2))
        logits = self.backbone(video.transpose(1, 2)).logits
        return SimpleNamespace(loss=nn.functional.cross_entropy(logits, labels) + variation)


def _step(model: nn.Module, clip: Tensor, labels: Tensor, *, bf16: bool) -> Callable[[], Any]:
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def take() -> None:
        with torch.autocast(clip.device.type, torch.bfloat16, enabled=bf16):
            loss = model(clip, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return take


def _prompt_alone(model: MotionPromptClassifier, clip: Tensor) -> Callable[[], Any]:
    def take() -> None:
        output = model.prompt(clip)
        (output.video.mean() + output.variation).backward()

    return take


def share_waiting(recipe: Recipe, *, data: Path | None, num_steps: int, device: str) -> float:
    """Share of the time of a run's steps, but for the first, that went by waiting for clips."""
    if data is None:
        number = (num_steps + 1) * recipe.batch_size
        # Sprites have no stride: every frame of a clip is rendered.
        recipe = replace(recipe, dataset_arguments={"num_clips": number}, frame_stride=1)
    else:
        recipe = replace(recipe, dataset="folder")
    with tempfile.TemporaryDirectory() as folder:
        finetune(recipe, folder, data=data, device=device)
        lines = read_lines(Path(folder) / "metrics.jsonl")[1:]
    return sum(line["seconds_waited"] for line in lines) / sum(line["seconds"] for line in lines)


if __name__ == "__main__":
    main()
