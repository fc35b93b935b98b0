r"""Make the README's picture of motions that went to other prompts, from a comparison's videos.

python benchmarks/ablations.py -o ablations-text-to-video --experiments inference \
    --references 12 --prompts 8 --seeds 3 --steps 12 --precision bf16 --pipeline sprites
python examples/transfer_picture.py ablations-text-to-video/inference
"""

import argparse
import json
from pathlib import Path

import torch

import kinema

OUTPUT = Path(__file__).parents[1] / "docs" / "media" / "transfer.png"
ROWS = {"none": "prompt alone", "centred": "with motion"}


def main() -> None:
    """Lay three references side by side, over one prompt each without and with their motion."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comparison", type=Path)
    parser.add_argument("--references", type=int, nargs="+", default=[4, 5, 6])
    parser.add_argument("--prompts", type=int, nargs="+", default=[3, 6, 4], help="one for each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    plan = json.loads((arguments.comparison / "plan.json").read_text())
    columns = []
    for number, prompt in zip(arguments.references, arguments.prompts, strict=True):
        name = plan["references"][number]["name"]
        files = {"reference": arguments.comparison / "references" / f"{name}.mp4"}
        for method, label in ROWS.items():
            file = f"{method}--{name}--{prompt}--{arguments.seed}.mp4"
            files[label] = arguments.comparison / "videos" / file
        rows = {label: kinema.read_video(file).frames for label, file in files.items()}
        columns.append(kinema.video.contact_sheet(rows, num_columns=4, tile_height=64))
    kinema.video.write_image(arguments.output, torch.cat(columns, dim=-1))


if __name__ == "__main__":
    main()
