"""The embedded text-to-video models, as the diffusers pipelines that larger ones come in."""

import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from torch import nn

from kinema.errors import InputError, first_line

if TYPE_CHECKING:
    from diffusers import AnimateDiffPipeline, TextToVideoSDPipeline

PARTS = ("vae", "text_encoder", "tokenizer", "scheduler", "unet3d", "unet", "motion_adapter")
"""Folders of the weights: what both pipelines share, the video U-Net, and AnimateDiff's two."""
MADE = "made.json"
GUIDANCE = 2.0
"""Towards the caption, for both models. At 3 the text-to-video model overshoots: blue on grey,
which it draws as asked without guidance, becomes purple."""
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def text_to_video(
    *, dtype: torch.dtype = torch.float32, weights: str | Path | None = None
) -> "TextToVideoSDPipeline":
    """Return the embedded model as a `TextToVideoSDPipeline`, ZeroScope's class.

    It makes 16 frames of 64x64 from captions of the sprites grammar
    (`kinema.sprites.parse_caption`), and is used as any such pipeline is:
    `pipe("a red star on a black background", guidance_scale=GUIDANCE).frames[0]`.

    Args:
        dtype: of the weights once loaded; they are kept as float16.
        weights: a folder of weights other than those that come with Kinema.

    Raises:
        InputError: the weights are not there, or cannot be read.
    """
    from diffusers import TextToVideoSDPipeline, UNet3DConditionModel

    with as_file(weights_folder(weights)) as folder:
        unet = load_part(UNet3DConditionModel, folder / "unet3d", torch_dtype=dtype).eval()
        return TextToVideoSDPipeline(unet=unet, **_shared(folder, dtype))


def animatediff(
    *, dtype: torch.dtype = torch.float32, weights: str | Path | None = None
) -> "AnimateDiffPipeline":
    """Return the embedded model's twin as an `AnimateDiffPipeline`: an image model and an adapter.

    Args and errors are those of `text_to_video`.
    """
    from diffusers import AnimateDiffPipeline, MotionAdapter, UNet2DConditionModel

    with as_file(weights_folder(weights)) as folder:
        unet = load_part(UNet2DConditionModel, folder / "unet", torch_dtype=dtype).eval()
        adapter = load_part(MotionAdapter, folder / "motion_adapter", torch_dtype=dtype).eval()
        return AnimateDiffPipeline(unet=unet, motion_adapter=adapter, **_shared(folder, dtype))


def made_with(weights: str | Path | None = None) -> dict[str, Any]:
    """Return what made the weights: commit, recipes and seeds, and how long each stage took."""
    made: dict[str, Any] = json.loads((weights_folder(weights) / MADE).read_text())
    return made


def weights_folder(weights: str | Path | None = None) -> Any:
    """Return the folder of the weights, those that come with Kinema by default."""
    folder = files("kinema.sprites") / "weights" if weights is None else Path(weights)
    if not folder.is_dir():
        raise InputError(
            f"there are no weights in {folder}; train them with 'kinema sprites train', or install "
            "Kinema with its data"
        )
    return folder


def _shared(folder: Path, dtype: torch.dtype) -> dict[str, Any]:
    from diffusers import AutoencoderKL, DDIMScheduler
    from transformers import CLIPTextModel, CLIPTokenizer

    for name in _TOKENIZER_FILES:
        # transformers makes a tokenizer of no words where they are missing.
        if not (folder / "tokenizer" / name).is_file():
            raise InputError(
                f"the tokenizer's {name} is missing in {folder}; run 'kinema sprites ship' again"
            )
    return {
        "vae": load_part(AutoencoderKL, folder / "vae", torch_dtype=dtype).eval(),
        "text_encoder": load_part(CLIPTextModel, folder / "text_encoder", torch_dtype=dtype).eval(),
        "tokenizer": load_part(CLIPTokenizer, folder / "tokenizer"),
        "scheduler": load_part(DDIMScheduler, folder / "scheduler"),
    }


def load_part(kind: Any, folder: Path, **options: Any) -> Any:
    """Load a model, a tokenizer or a scheduler from a folder; models from safetensors alone.

    Raises:
        InputError: the folder is missing, or its files are damaged or of something else.
    """
    if issubclass(kind, nn.Module):
        options["use_safetensors"] = True
    if not folder.is_dir():
        raise InputError(f"the weights {folder} are missing; train that part first")
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    # Files that are missing, cut short or of another model: diffusers and transformers raise any.
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            f"the weights {folder} cannot be loaded ({first_line(error)}); train that part "
            "again, or run 'kinema sprites ship' again"
        ) from error
