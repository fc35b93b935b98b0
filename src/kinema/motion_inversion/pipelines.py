"""Text-to-video pipelines by name: the embedded ones, a hub id, or a folder."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from kinema.errors import InputError, first_line

EMBEDDED = ("sprites", "sprites-animatediff")
"""Names of the models that come with Kinema."""


def load_pipeline(
    model: str | Path,
    *,
    adapter: str | Path | None = None,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
) -> Any:
    """Load a text-to-video pipeline.

    Args:
        model: "sprites" or "sprites-animatediff" for those that come with Kinema; a folder made
            by `save_pretrained`; or the id of a model on the Hugging Face hub.
        adapter: for AnimateDiff on an image model: id or folder of the motion adapter, whose
            noise schedule takes the place of the image model's.
        dtype: float16 on a GPU and float32 on a CPU by default.
        device: a GPU where there is one, by default.

    Raises:
        InputError: there is no such model, or the device is not there.
    """
    device = _device(device)
    dtype = dtype or (torch.float32 if device.type == "cpu" else torch.float16)
    if str(model) in EMBEDDED:
        if adapter is not None:
            raise InputError(f"adapter {adapter} with {model}, which has its own; leave it out")
        from kinema import sprites

        make = sprites.text_to_video if str(model) == EMBEDDED[0] else sprites.animatediff
        embedded = make(dtype=dtype)
        # As pipelines from a folder or the hub say where they are from.
        embedded.register_to_config(_name_or_path=str(model))
        return embedded.to(device)
    from diffusers import AnimateDiffPipeline, DDIMScheduler, DiffusionPipeline, MotionAdapter

    try:
        if adapter is None:
            pipeline = DiffusionPipeline.from_pretrained(str(model), dtype=dtype)
        else:
            pipeline = AnimateDiffPipeline.from_pretrained(
                str(model),
                motion_adapter=MotionAdapter.from_pretrained(str(adapter), dtype=dtype),
                dtype=dtype,
            )
            # Motion adapters were trained on linear betas; image models come with others.
            pipeline.scheduler = DDIMScheduler.from_config(
                pipeline.scheduler.config,
                beta_schedule="linear",
                clip_sample=False,
                timestep_spacing="linspace",
                steps_offset=1,
            )
    # A missing folder, a hub out of reach and an id that no one has are all OSErrors there; parts
    # that do not make a pipeline are ValueErrors, and unknown classes AttributeErrors.
    except (OSError, ValueError, AttributeError, ImportError, SafetensorError) as error:
        raise InputError(
            f"no pipeline could be loaded from {str(model)!r} ({first_line(error)}); give "
            f"{' or '.join(EMBEDDED)}, the folder of a saved pipeline, or a hub id"
        ) from error
    return pipeline.to(device)


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device is {device!r}; expected cpu, cuda or mps") from error
    number = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if chosen.type not in number:
        raise InputError(f"device is {device}; expected cpu, cuda or mps")
    if (chosen.index or 0) >= number[chosen.type]:
        raise InputError(
            f"device is {device}, and the number of such GPUs to be seen is {number[chosen.type]}; "
            "use cpu"
        )
    return chosen
