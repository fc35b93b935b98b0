"""What finished stages have left for those after them."""

from pathlib import Path
from typing import Any

from kinema.errors import InputError


def load_export(runs: Path, stage: str, part: str) -> Any:
    """Load one part that a finished stage has left in `runs`, in float32, frozen.

    Raises:
        InputError: it is not there.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    folder = runs / stage / "export" / part
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; run 'kinema sprites train {stage}' first")
    classes: dict[str, Any] = {
        "vae": AutoencoderKL,
        "unet": UNet2DConditionModel,
        "text_encoder": CLIPTextModel,
    }
    return (
        classes[part]
        .from_pretrained(folder, local_files_only=True)
        .float()
        .eval()
        .requires_grad_(False)
    )
