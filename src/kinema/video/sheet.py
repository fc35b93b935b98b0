"""Contact sheets: frames of several videos side by side, one video a row."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from kinema.errors import InputError
from kinema.files import replacing
from kinema.video.picture import resized
from kinema.video.pixels import as_bytes, checked_video
from kinema.video.sampling import uniform_indices

TILE_HEIGHT = 128
_GAP = 4
_TEXT_SIZE = 13
_CAPTION_HEIGHT = 18
_BACKGROUND = (255, 255, 255)
_INK = (40, 40, 40)


def contact_sheet(
    rows: Mapping[str, Tensor], *, num_columns: int = 8, tile_height: int = TILE_HEIGHT
) -> Tensor:
    """Lay frames of each video in a row behind its label, each under its frame number.

    Args:
        rows: label to video: `(T, C, H, W)`, RGB or grey, or `(T, H, W)`; float in [0, 1] or
            uint8. A row with more than `num_columns` frames shows evenly spread ones; lengths
            and sizes may differ.
        num_columns: frames in a row, at most.
        tile_height: height of a frame, pixels.

    Returns:
        `(3, H, W)` uint8.

    Raises:
        InputError: there is no row, a row is no video, or a number is below 1.
    """
    if not rows:
        raise InputError("the contact sheet has no rows, expected at least one label and video")
    if num_columns < 1 or tile_height < 1:
        raise InputError(
            f"num_columns is {num_columns} and tile_height {tile_height}, expected at least 1"
        )
    font = ImageFont.load_default(size=_TEXT_SIZE)
    label_width = max(int(font.getlength(label)) for label in rows) + 3 * _GAP
    strips = [
        _strip(label, video, num_columns, tile_height, label_width, font)
        for label, video in rows.items()
    ]
    sheet = Image.new(
        "RGB",
        (max(s.width for s in strips), sum(s.height for s in strips) + _GAP),
        _BACKGROUND,
    )
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1).contiguous()


def write_image(path: str | Path, picture: Tensor) -> None:
    """Write a picture, such as a contact sheet, as PNG, whole or not at all.

    Args:
        path: where to, with the suffix .png.
        picture: `(C, H, W)`, RGB or grey, float in [0, 1] (clipped) or uint8.

    Raises:
        InputError: the picture or the suffix cannot be used, or the folder not written to.
        OSError: the file cannot be written, such as on a full disk.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path} has the suffix {path.suffix!r}, expected .png")
    if not isinstance(picture, Tensor) or picture.ndim != 3:
        raise InputError(
            f"picture has shape {tuple(getattr(picture, 'shape', ()))}, expected (C, H, W)"
        )
    rgb = as_bytes(checked_video(picture[None], name="picture")[0]).expand(3, -1, -1)
    with replacing(path) as temporary:
        Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy()).save(temporary, format="PNG")


def _strip(
    label: str,
    video: Tensor,
    num_columns: int,
    tile_height: int,
    label_width: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> Image.Image:
    """One row: label, then the frames with their numbers."""
    if isinstance(video, Tensor) and video.ndim == 3:
        video = video[:, None]
    video = checked_video(video, name=f"row {label!r}")
    numbers = uniform_indices(len(video), min(len(video), num_columns))
    tile_width = max(1, round(video.shape[-1] * tile_height / video.shape[-2]))
    tiles = resized(as_bytes(video[numbers]), (tile_height, tile_width)).expand(-1, 3, -1, -1)

    strip = Image.new(
        "RGB",
        (
            label_width + len(numbers) * (tile_width + _GAP),
            _GAP + _CAPTION_HEIGHT + tile_height,
        ),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(strip)
    middle = _GAP + _CAPTION_HEIGHT + tile_height // 2
    draw.text((_GAP, middle), label, fill=_INK, font=font, anchor="lm")
    for column, (number, tile) in enumerate(zip(numbers, tiles, strict=True)):
        left = label_width + column * (tile_width + _GAP)
        draw.text(
            (left + tile_width // 2, _GAP + _CAPTION_HEIGHT // 2),
            str(number),
            fill=_INK,
            font=font,
            anchor="mm",
        )
        picture = tile.permute(1, 2, 0).contiguous().numpy()
        strip.paste(Image.fromarray(picture), (left, _GAP + _CAPTION_HEIGHT))
    return strip
