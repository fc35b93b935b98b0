"""Gather what the finished stages left into one folder of weights that the pipelines load."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from kinema.errors import InputError, first_line
from kinema.files import filling
from kinema.sprites.models import new_scheduler
from kinema.sprites.pipelines import MADE, made_with
from kinema.sprites.tokenizer import build_tokenizer
from kinema.sprites.training.loop import CHECKPOINT, LOSSES, commit_of_tree
from kinema.sprites.training.recipe import STAGES

_PARTS_OF_STAGE = {
    "autoencoder": ("vae",),
    "text-to-image": (),
    "motion-words": ("text_encoder",),
    "text-to-video": ("unet3d",),
    # Its image U-Net, whose cross-attention has learned the words of motion.
    "animatediff": ("unet", "motion_adapter"),
}


def ship(runs: str | Path, folder: str | Path) -> dict[str, Any]:
    """Copy the weights of every stage finished in `runs` to `folder`, and note what made them.

    Stages that `folder` has weights of and `runs` has not stay there as they are.

    Returns:
        What `made.json` says: for each stage its recipe with the seed, the commit that trained it,
        steps done, seconds and last losses; and the commit of the tree that shipped them. A recipe
        that starts from "kinema" means the weights of the tree at the commit that trained it.

    Raises:
        InputError: the autoencoder or the text encoder is not there.
    """
    runs, folder = Path(runs), Path(folder)
    finished = [stage for stage in STAGES if _is_finished(runs / stage)]
    kept = made_with(folder)["stages"] if (folder / MADE).is_file() else {}
    if missing := [stage for stage in STAGES[:3] if stage not in (*finished, *kept)]:
        raise InputError(f"{runs} has no finished {', '.join(missing)}; train them first")
    stages = kept | {stage: _how(runs / stage) for stage in finished}
    made = {
        "commit": commit_of_tree(),
        "stages": {stage: stages[stage] for stage in STAGES if stage in stages},
    }
    with filling(folder) as temporary:
        for stage in finished:
            for part in _PARTS_OF_STAGE[stage]:
                shutil.copytree(runs / stage / "export" / part, temporary / part)
                _forget_path(temporary / part / "config.json")
        build_tokenizer().save_pretrained(temporary / "tokenizer")
        new_scheduler().save_pretrained(temporary / "scheduler")
        (temporary / MADE).write_text(json.dumps(made, indent=2) + "\n")
        for entry in temporary.iterdir():
            # A folder does not take the place of another that holds something.
            if entry.is_dir():
                shutil.rmtree(folder / entry.name, ignore_errors=True)
    return made


def _forget_path(config: Path) -> None:
    """Take out where the weights lay when they were loaded, which is nobody's business."""
    content = json.loads(config.read_text(encoding="utf-8"))
    content.pop("_name_or_path", None)
    config.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _is_finished(run: Path) -> bool:
    # `train` writes the export last, and all of it at once.
    parts = (run / "export").glob("[!.]*")
    return any(parts) and (run / CHECKPOINT).is_file()


def _how(run: Path) -> dict[str, Any]:
    try:
        with safe_open(run / CHECKPOINT, "pt") as checkpoint:
            metadata = checkpoint.metadata()
        entries = [json.loads(line) for line in (run / LOSSES).read_text().splitlines()]
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError(
            f"the run {run} is damaged ({first_line(error)}); train that part again"
        ) from error
    last = entries[-100:]
    return {
        "recipe": json.loads(metadata["recipe"]),
        "commit": metadata.get("commit"),
        "steps": int(metadata["step"]),
        "seconds": round(sum(entry["seconds"] for entry in entries)),
        "device": entries[-1]["device"],
        "mean_of_last_losses": sum(entry["loss"] for entry in last) / len(last),
    }
