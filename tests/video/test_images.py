import numpy as np
import pytest
from PIL import Image

from kinema.errors import InputError
from kinema.video import read_images


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 10):
        Image.new("RGB", (12, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_a_folder_of_images_is_read_in_the_order_people_count(folder):
    clip = read_images(folder, frames_per_second=5)
    assert clip.frames.shape == (3, 3, 8, 12)
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 2, 10]
    assert clip.seconds.tolist() == pytest.approx([0, 0.2, 0.4])


def test_a_list_keeps_its_order_and_may_mix_files_and_images(folder):
    images = [folder / "10.png", Image.new("L", (12, 8), 77)]
    clip = read_images(images, frames_per_second=5)
    assert clip.frames[:, 2, 0, 0].tolist() == [0, 77]


def test_only_some_of_them_are_read(folder):
    clip = read_images(folder, frames_per_second=5, indices=lambda count: [0, count - 1])
    assert clip.frames[:, 0, 0, 0].tolist() == [1, 10]
    assert clip.seconds.tolist() == pytest.approx([0, 0.4])
    assert clip.indices.tolist() == [0, 2]


def test_transparent_images_lie_over_black():
    clip = read_images([Image.new("RGBA", (4, 4), (200, 100, 50, 128))], frames_per_second=1)
    assert np.abs(clip.frames[0, :, 0, 0].numpy().astype(int) - [100, 50, 25]).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_of_grey_become_8(tmp_path, suffix):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / f"deep{suffix}")
    clip = read_images([tmp_path / f"deep{suffix}"], frames_per_second=1)
    assert clip.frames[0, 1].flatten().tolist() == list(range(256))
    between = np.array([[128, 129, 385, 386, 65406, 65407]], dtype=np.uint16)
    Image.fromarray(between).save(tmp_path / f"deep{suffix}")
    clip = read_images([tmp_path / f"deep{suffix}"], frames_per_second=1)
    assert clip.frames[0, 1].flatten().tolist() == [0, 1, 1, 2, 254, 255]


def test_32_bits_do_not_say_what_is_white(tmp_path):
    for dtype in (np.float32, np.int32):
        Image.fromarray(np.ones((4, 4), dtype)).save(tmp_path / "deep.tif")
        with pytest.raises(InputError, match=r"deep.tif has 32 bits a pixel .*; save it with 8 or"):
            read_images(tmp_path, frames_per_second=1)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [([], "at least one index"), ([3], "expected 0 to 2"), ([0, -1], "index -1 is not one")],
)
def test_indices_of_no_image_are_refused(folder, chosen, words):
    with pytest.raises(InputError, match=words):
        read_images(folder, frames_per_second=5, indices=lambda count: chosen)


def test_an_image_too_large_to_be_one_is_refused(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    with pytest.raises(InputError, match=r"1.png is not an image that can be read \(Image size"):
        read_images(folder, frames_per_second=1)


def test_a_size_brings_different_images_together(folder):
    images = [folder / "1.png", Image.new("RGB", (30, 30))]
    with pytest.raises(InputError, match="give a size"):
        read_images(images, frames_per_second=1)
    assert read_images(images, frames_per_second=1, size=(5, 6)).frames.shape == (2, 3, 5, 6)


def test_what_is_no_folder_of_images_is_refused(folder):
    (folder / "broken.png").write_text("not a picture")
    (folder / "empty").mkdir()
    for images, words in [
        (folder, "broken.png is not an image"),
        (folder / "empty", "holds no image"),
        (folder / "none", "not a folder"),
        ([], "empty"),
        ([folder / "none.png"], "does not exist"),
    ]:
        with pytest.raises(InputError, match=words):
            read_images(images, frames_per_second=1)
    with pytest.raises(InputError, match="frames_per_second is inf, expected a positive number"):
        read_images(folder, frames_per_second=float("inf"))
    with pytest.raises(InputError, match="frames_per_second"):
        read_images(folder, frames_per_second=0)
