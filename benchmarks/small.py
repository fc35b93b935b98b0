"""A small version of every benchmark, one after the other: their tables, in minutes.

That of the motion prompt's kernel on a GPU runs where there is one. Figures of so few repeats,
steps and videos say that all works and roughly how things stand; those of `docs/results/` come from
the full commands.

    python benchmarks/small.py -o benchmarks/results
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch

FOLDER = Path(__file__).parent
_FEW = ("--references", "2", "--prompts", "1")
_LITTLE = ("--seeds", "1", "--steps", "10")
SMALL: dict[str, tuple[str, ...]] = {
    "render_speed": ("--videos", "64", "--judged", "16", "--repeats", "3"),
    "autoencoder_psnr": ("--videos", "4"),
    "decode_memory": ("--minutes", "0.5", "--repeats", "1"),
    "loader": ("--clips", "8", "--repeats", "2", "--growth"),
    "prompt_layer": ("--repeats", "3", "--no-growth"),
    "prompt_gain": ("--seeds", "1", "--steps", "60"),
    "finetune_step": ("--steps", "1", "--size", "64", "--width", "192", "--depth", "4", "--growth"),
    "motion_words": ("--videos", "8", "--alike", "4"),
    "from_noise": ("--videos", "2"),
    "generation": ("--repeats", "2", "--growth"),
    "inversion": ("--repeats", "2", "--steps-only", "--growth"),
    "transfer": (
        *("--references", "1", "--prompts", "1", *_LITTLE),
        *("--pipelines", "sprites-animatediff", "--learning-steps", "15"),
    ),
    "ablations": (
        *(*_FEW, *_LITTLE, "--learning-steps", "30"),
        *("--variants", "both", "raw", "raw, no value", "coarse value", "4 x 4 parts", "bound"),
    ),
    "frame_features": ("--motions", "2", "--looks", "2", "--grids", "1", "4", "--at", "40"),
    "arithmetic": (
        *("--pipelines", "sprites-animatediff", "--pairs", "1", "--prompts", "1"),
        *(*_LITTLE, "--values", "centred"),
    ),
    "unchanged": (
        *("--references", "1", "--prompts", "1", "--seeds", "1", "--clips", "40"),
        *("--learning-steps", "5", "--steps", "6"),
    ),
    "real_size": (
        "--divide",
        "8",
        "--frames",
        "4",
        "--repeats",
        "1",
        "--sampling-steps",
        "1",
        "--dtype",
        "bfloat16",
    ),
}
if torch.cuda.is_available():
    SMALL["prompt_bandwidth"] = ("--dtypes", "float32")
"""Arguments by script; each prints a table and writes JSON."""

_WITH_FOLDER = ("transfer", "ablations", "unchanged")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=list(SMALL), default=list(SMALL))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in arguments.only:
        started = time.monotonic()
        print(f"\n=== {name} {' '.join(SMALL[name])}", flush=True)
        command = [sys.executable, str(FOLDER / f"{name}.py"), *SMALL[name]]
        if name in _WITH_FOLDER:
            command += ["-o", str(arguments.output / name)]
        command += ["--json", str(arguments.output / f"{name}.json")]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
