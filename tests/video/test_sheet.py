import errno

import numpy as np
import pytest
import torch
from PIL import Image

from kinema.errors import InputError
from kinema.video import contact_sheet, write_image


def test_rows_of_different_lengths_sizes_and_kinds_fit_on_one_sheet():
    sheet = contact_sheet(
        {
            "video": torch.rand(20, 3, 40, 60),
            "attention": torch.rand(19, 40, 60),
            "bytes": torch.zeros(3, 1, 20, 20, dtype=torch.uint8),
        },
        num_columns=5,
        tile_height=40,
    )
    assert sheet.dtype == torch.uint8
    assert sheet.shape[0] == 3
    assert sheet.shape[1] > 3 * 40
    assert sheet.shape[2] > 5 * 60


def test_the_tiles_show_the_frames():
    red = torch.tensor([1.0, 0, 0])[None, :, None, None].expand(4, 3, 16, 16)
    sheet = contact_sheet({"red": red}, num_columns=4, tile_height=16)
    is_red = (sheet == torch.tensor([255, 0, 0], dtype=torch.uint8)[:, None, None]).all(0)
    assert is_red.sum() == 4 * 16 * 16


def test_a_longer_label_moves_the_tiles_to_the_right():
    video = torch.rand(2, 3, 16, 16)
    short, long = contact_sheet({"a": video}), contact_sheet({"a much longer label": video})
    assert long.shape[2] > short.shape[2]


def test_a_written_sheet_comes_back_bit_for_bit(tmp_path):
    sheet = contact_sheet({"video": torch.rand(4, 3, 16, 16)})
    write_image(tmp_path / "new" / "sheet.png", sheet)
    back = np.asarray(Image.open(tmp_path / "new" / "sheet.png"))
    assert np.array_equal(back, sheet.permute(1, 2, 0).numpy())


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"before")

    def full(*_arguments, **_settings):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_image(path, torch.rand(3, 4, 4))
    assert path.read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda path: contact_sheet({}), "no rows"),
        (lambda path: contact_sheet({"a": torch.rand(2, 5, 4, 4)}), "row 'a'"),
        (lambda path: contact_sheet({"a": torch.rand(2, 3, 4, 4)}, num_columns=0), "num_columns"),
        (lambda path: write_image(path / "a.jpg", torch.rand(3, 4, 4)), "suffix"),
        (lambda path: write_image(path / "a.png", torch.rand(4, 4)), "picture has shape"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, call, words):
    with pytest.raises(InputError, match=words):
        call(tmp_path)
