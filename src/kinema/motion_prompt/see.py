"""See what moves in a video: its motion prompts as an overlay, a contact sheet and figures."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.files import filling
from kinema.motion_prompt.difference import frame_difference
from kinema.motion_prompt.layer import MotionPrompt
from kinema.motion_prompt.tensor_clip import SUFFIX, read_tensor_clip
from kinema.video import (
    colour_map,
    contact_sheet,
    overlay_heat_map,
    read_video,
    strided_indices,
    write_image,
    write_video,
)
from kinema.video.picture import resized

OVERLAY, SHEET, REPORT = "overlay.mp4", "sheet.png", "see.json"
_TENSOR_FRAMES_PER_SECOND = 8.0
"""A tensor does not know its rate; slow enough to look at."""
_DIFFERENCE_LIMIT = 0.5
"""Differences of this size and more get the strongest colour, the same in every sheet."""
_MOVING = 0.05
"""A pixel that changes by more than this between frames is counted as moving."""


@dataclass(frozen=True)
class Sight:
    """Where the pictures of one video are, and its figures as written to `see.json`."""

    overlay: Path
    sheet: Path
    report: dict[str, Any]


@torch.no_grad()
def see(
    path: str | Path,
    folder: str | Path,
    *,
    prompt: MotionPrompt | None = None,
    num_frames: int = 64,
    stride: int = 1,
    size: int | tuple[int, int] | None = 256,
    num_columns: int = 8,
) -> Sight:
    """Prompt a video and write what its attention maps show.

    Three files go to `folder`, all or none: `overlay.mp4` (frames beside their attention map, as
    colours over the frame), `sheet.png` (frame, difference, attention and prompt, by row) and
    `see.json` (diagnostics, and which frames were seen).

    Args:
        path: a video, or a clip as one tensor in a safetensors file.
        folder: where to; made where it is missing.
        prompt: the layer. Its layout, mean and std say how a clip that is a tensor was made; the
            frames of a video are in [0, 1] and need none.
        num_frames: at most so many frames, from the middle of the video; a video with fewer
            gives all it has.
        stride: take every `stride`-th frame.
        size: resize to this shorter side or `(height, width)`; None keeps the size.
        num_columns: of the contact sheet.

    Raises:
        InputError: the video cannot be read or gives fewer than two frames, or the folder cannot
            be written to.
    """
    if num_frames < 2:
        raise InputError(f"{num_frames} frames are asked for; a motion prompt needs 2 or more")
    if stride < 1:
        raise InputError(f"the stride is {stride}; give 1 or more")

    prompt = MotionPrompt() if prompt is None else prompt

    def choose(num_frames_available: int) -> list[int]:
        available = -(-num_frames_available // stride)
        return strided_indices(num_frames_available, min(num_frames, available), stride=stride)

    if Path(path).suffix == SUFFIX:
        whole = read_tensor_clip(path, prompt)
        indices = choose(len(whole))
        video, rate = resized(whole[indices], size).clamp(0, 1), _TENSOR_FRAMES_PER_SECOND
    else:
        clip = read_video(path, indices=choose, size=size)
        indices, video, rate = clip.indices.tolist(), clip.video, clip.frames_per_second
    if len(video) < 2:
        stridden = f" at stride {stride}" if stride > 1 else ""
        raise InputError(
            f"{path} gives 1 frame{stridden}; a motion prompt needs 2 or more: give a longer video"
            + (" or a smaller stride" if stride > 1 else "")
        )
    # On frames in [0, 1] the statistics are trivial, whatever the layer was trained with.
    layer = MotionPrompt(
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        layout="TCHW",
        # Of a prompt that was trained on a GPU or in half precision too: the frames are neither.
        normalisation=copy.deepcopy(prompt.normalisation).to("cpu", torch.float32),
        grey_weights=prompt.grey_weights,
        # One clip is seen once; a compiler would take longer than the layer does.
        compiled=False,
    )
    output = layer(video)
    attention = output.attention[0]
    difference = frame_difference(video[None], weights=layer.grey_weights)[0]
    frames = video[1:]
    # A signed normalisation gives negative weights too; those get the difference's colours.
    shown = colour_map(attention, limit=1.0) if attention.min() < 0 else _heat_map(attention)
    overlaid = overlay_heat_map(frames, attention.abs(), opacity=0.6)
    report: dict[str, Any] = {
        "video": Path(path).name,
        "frames_seen": indices,
        "frames_per_second": rate,
        "height": video.shape[-2],
        "width": video.shape[-1],
        "normalisation": repr(layer.normalisation),
        **{name: value.item() for name, value in layer.normalisation.named_parameters()},
        **layer.diagnostics(attention[None]).as_dict(),
        "variation": output.variation.item(),
        "mean_absolute_difference": difference.abs().mean().item(),
        "share_moving": (difference.abs() > _MOVING).float().mean().item(),
    }
    with filling(folder) as temporary:
        write_video(
            temporary / OVERLAY,
            torch.cat((frames, overlaid), dim=-1),
            frames_per_second=rate / stride,
        )
        rows = {
            "frame": frames,
            "difference": colour_map(difference, limit=_DIFFERENCE_LIMIT),
            "attention": shown,
            "prompt": output.video.clamp(0, 1),
        }
        write_image(temporary / SHEET, contact_sheet(rows, num_columns=num_columns))
        (temporary / REPORT).write_text(json.dumps(report, indent=2) + "\n")
    return Sight(Path(folder) / OVERLAY, Path(folder) / SHEET, report)


def _heat_map(attention: Tensor) -> Tensor:
    """Attention `(T, H, W)` in [0, 1] as colours `(T, 3, H, W)`."""
    return overlay_heat_map(attention[:, None].expand(-1, 3, -1, -1), attention, opacity=1.0)
