"""Motions in files: one safetensors file each, with where it came from in its header."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.files import replacing
from kinema.motion_inversion.origin import Origin

if TYPE_CHECKING:
    from kinema.motion_inversion.motion import Motion

HEADER = "kinema_motion"
FORMAT = 1
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
    from safetensors.torch import save_file

    from kinema.video import write_video

    content = dict(tensors)
    if inverted_latents is not None:
        content[INVERTED_LATENTS] = inverted_latents
    content = {
        name: tensor.detach().to("cpu", dtype or tensor.dtype).contiguous()
        for name, tensor in content.items()
    }
    header = json.dumps({"format": FORMAT, **origin.to_json()}, sort_keys=True)
    with replacing(path) as temporary:
        try:
            save_file(content, temporary, metadata={HEADER: header})
        except Exception as error:  # a full disk reaches us as safetensors' own exception
            raise InputError(
                f"cannot write {path}: {error}; make room, or choose another place"
            ) from error
    if preview is not None:
        write_video(
            Path(path).with_suffix(".gif"),
            preview,
            frames_per_second=origin.frames_per_second or 8,
        )


def read(path: Path) -> tuple[dict[str, Tensor], Origin, Tensor | None]:
    """Read what `write` wrote, as float32 on the CPU.

    Raises:
        InputError: there is no such file, it is truncated or none of Kinema's.
    """
    from safetensors import safe_open

    if not path.is_file():
        raise InputError(f"there is no motion {path}; check the path")
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # SafetensorError is no public class; OSError among others
        raise InputError(
            f"{path} is no safetensors file, or only part of one ({error}); get it again, or save "
            "the motion again"
        ) from error
    if header is None:
        raise InputError(
            f"{path} is a safetensors file without the header {HEADER!r}; expected a motion that "
            "Motion.save wrote"
        )
    try:
        values = json.loads(header)
        found = values.pop("format")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the header of {path} cannot be read ({error!r}); save it again"
        ) from error
    if found != FORMAT:
        raise InputError(
            f"{path} is a motion of format {found}; this Kinema reads format {FORMAT}: use the "
            "version that wrote it, or a newer one"
        )
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
        (folder / "README.md").write_text(_card(motion, repo_id))
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
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"there is no folder {source}, and the hub gives no {FILE_NAME} of that name "
            f"({first_line}); check the name, the connection and the token"
        ) from error


def _card(motion: "Motion", repo_id: str) -> str:
    origin = motion.origin
    base = f"\nbase_model: {origin.model_id}" if origin.model_id else ""
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
