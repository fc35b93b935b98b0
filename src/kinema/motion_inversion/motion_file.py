"""Motions in files: one safetensors file each, with where it came from in its header."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kinema.errors import InputError, first_line
from kinema.motion_inversion.origin import Origin
from kinema.motion_inversion.tensor_file import read_tensors, write_tensors

if TYPE_CHECKING:
    from kinema.motion_inversion.motion import Motion

HEADER = "kinema_motion"
FILE_NAME = "motion.safetensors"
INVERTED_LATENTS = "inverted_latents"


def write(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    origin: Origin,
    inverted_latents: Tensor | None,
    *,
    dtype: torch.dtype | None = None,
    preview: Tensor | None = None,
) -> None:
    """Write a motion, whole or not at all; the same motion gives the same bytes.

    Raises:
        InputError: the file cannot be written.
    """
    from kinema.video import gif_rate, write_video

    content = dict(tensors)
    if inverted_latents is not None:
        content[INVERTED_LATENTS] = inverted_latents
    write_tensors(path, content, header=HEADER, values=origin.to_json(), dtype=dtype)
    if preview is not None:
        write_video(
            Path(path).with_suffix(".gif"),
            preview,
            frames_per_second=gif_rate(origin.frames_per_second or 8),
        )


def read(path: Path) -> tuple[dict[str, Tensor], Origin, Tensor | None]:
    """Read what `write` wrote, as float32 on the CPU.

    Raises:
        InputError: there is no such file, it is truncated or none of Kinema's.
    """
    tensors, values = read_tensors(path, header=HEADER, what="motion", writer="Motion.save")
    inverted_latents = tensors.pop(INVERTED_LATENTS, None)
    try:
        return tensors, Origin.from_json(values), inverted_latents
    except InputError as error:
        raise InputError(f"{path} holds no motion that can be used: {error}") from error


def push_to_hub(motion: "Motion", repo_id: str, *, private: bool, token: str | None) -> str:
    """Upload a motion and a card to a model repository, made where it is missing."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    url = api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        motion.save(folder / FILE_NAME)
        (folder / "README.md").write_text(_card(motion, repo_id), encoding="utf-8")
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="A motion")
    return str(url)


def download(source: str | Path, *, revision: str | None, token: str | None) -> Path:
    """The path of a motion in a folder or, once downloaded, from the hub.

    Raises:
        InputError: it is in neither.
    """
    from huggingface_hub import hf_hub_download

    if Path(source).is_dir():
        return Path(source) / FILE_NAME
    try:
        return Path(hf_hub_download(str(source), FILE_NAME, revision=revision, token=token))
    except Exception as error:  # the hub's errors have no common class of their own
        raise InputError(
            f"there is no folder {source}, and the hub gives no {FILE_NAME} of that name "
            f"({first_line(error)}); check the name, the connection and the token"
        ) from error


def _card(motion: "Motion", repo_id: str) -> str:
    origin = motion.origin
    # The hub refuses a card that names a folder of this disk.
    is_id = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", origin.model_id or "")
    named = is_id and not Path(is_id[0]).exists()
    base = f"\nbase_model: {origin.model_id}" if named else ""
    return f"""---
library_name: kinema
tags: [motion, text-to-video]{base}
---

# {repo_id}

A motion learned from one clip ("{origin.prompt}", {origin.num_frames} frames) on a
{origin.model_class}.

```python
import kinema

motion = kinema.Motion.from_pretrained("{repo_id}")
with motion.on(pipe):
    frames = pipe("a toy train in a garden").frames[0]
```
"""
