import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from kinema.errors import InputError
from kinema.motion_inversion import read_reference
from kinema.video import read_video, write_image, write_video


def _video(num_frames: int = 12, height: int = 32, width: int = 48) -> torch.Tensor:
    """Each frame its own grey, brighter to the right."""
    frames = torch.linspace(0.1, 0.8, num_frames)[:, None, None, None]
    return (frames + torch.linspace(0, 0.1, width)).expand(num_frames, 3, height, width).clone()


def _pictures(video: torch.Tensor) -> list[Image.Image]:
    return [Image.fromarray((f * 255).byte().permute(1, 2, 0).numpy()) for f in video]


def test_the_right_length_and_size_are_left_alone():
    video = _video()
    reference = read_reference(video, num_frames=12, size=(32, 48))
    assert torch.equal(reference.video, video)
    assert reference.frames_per_second is None


def test_frames_are_spread_evenly_and_the_rate_follows():
    video = _video(30)
    reference = read_reference(video, num_frames=10, size=(32, 48), frames_per_second=30)
    assert torch.equal(reference.video, video[1::3])
    assert reference.frames_per_second == 10


def test_a_shorter_clip_keeps_the_frames_it_has():
    assert len(read_reference(_video(5), num_frames=16, size=(32, 48)).video) == 5
    with pytest.raises(InputError, match="5 frames and this model takes 16, no fewer"):
        read_reference(_video(5), num_frames=16, size=(32, 48), fixed_length=True)


def test_the_middle_is_kept_and_the_shape_too():
    video = torch.zeros(4, 3, 64, 192)
    video[..., 64:128] = 1  # a white square in the middle
    fitted = read_reference(video, num_frames=4, size=(32, 32)).video
    assert fitted.shape == (4, 3, 32, 32)
    assert fitted[..., 2:-2].min() > 0.99
    wide = read_reference(video, num_frames=4, size=(16, 64)).video
    assert wide.shape == (4, 3, 16, 64)
    # Width was scaled by a third, as height was; 5 of 21 rows were cut away.
    assert wide[0, 0, 8].sum() == pytest.approx(64 / 3, abs=0.5)


def test_what_was_done_is_said(caplog: Any):
    with caplog.at_level(logging.INFO, logger="kinema"):
        reference = read_reference(_video(30), num_frames=10, size=(16, 16))
    assert reference.fitted == "the video: 10 of 30 frames, 48x32 to 16x16 pixels"
    assert reference.fitted in caplog.text


def test_files_folders_pictures_and_tensors_are_the_same_clip(tmp_path: Path):
    video = _video(6, 32, 48)
    write_video(tmp_path / "clip.mp4", video, frames_per_second=12, quality=0)
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(video):
        write_image(tmp_path / "frames" / f"{index}.png", frame)
    from_file = read_reference(tmp_path / "clip.mp4", num_frames=3, size=(32, 48))
    assert from_file.frames_per_second == pytest.approx(6)
    expected = read_video(tmp_path / "clip.mp4", indices=[1, 3, 5]).video
    assert torch.equal(from_file.video, expected)
    others = [
        read_reference(given, num_frames=3, size=(32, 48))
        for given in (tmp_path / "frames", str(tmp_path / "frames"), _pictures(video), video)
    ]
    for reference in others:
        torch.testing.assert_close(reference.video, expected, atol=0.02, rtol=0)
    assert torch.equal(others[0].video, others[1].video)
    assert others[0].sha256 == others[1].sha256 != others[3].sha256


def test_of_a_folder_only_the_chosen_frames_are_opened(tmp_path: Path):
    """A recording's frames, thousands of them at their full size, do not fit into memory."""
    video = _video(6, 32, 48)
    for index, frame in enumerate(video):
        write_image(tmp_path / f"{index}.png", frame)
    for index in (0, 2, 4):
        (tmp_path / f"{index}.png").write_text("not opened")
    reference = read_reference(tmp_path, num_frames=3, size=(32, 48), frames_per_second=12)
    torch.testing.assert_close(reference.video, video[[1, 3, 5]], atol=0.01, rtol=0)
    assert reference.frames_per_second == pytest.approx(6)
    # But every frame counts for whose motion it is.
    (tmp_path / "2.png").write_text("another")
    again = read_reference(tmp_path, num_frames=3, size=(32, 48))
    assert again.sha256 != reference.sha256


def test_the_hash_is_that_of_the_file(tmp_path: Path):
    import hashlib

    write_video(tmp_path / "clip.mp4", _video(4), frames_per_second=12)
    reference = read_reference(tmp_path / "clip.mp4", num_frames=4, size=(32, 48))
    assert reference.sha256 == hashlib.sha256((tmp_path / "clip.mp4").read_bytes()).hexdigest()
    changed = _video(4)
    before = read_reference(changed, num_frames=4, size=(32, 48)).sha256
    changed[2, 1, 5, 5] += 0.01
    assert read_reference(changed, num_frames=4, size=(32, 48)).sha256 != before


def test_grey_and_bytes_become_rgb_floats():
    grey = (_video(4)[:, :1] * 255).byte()
    fitted = read_reference(grey, num_frames=4, size=(32, 48)).video
    assert fitted.shape == (4, 3, 32, 48)
    assert fitted.dtype == torch.float32
    assert torch.equal(fitted[:, 0], grey[:, 0].float() / 255)


def test_what_is_no_video_is_refused(tmp_path: Path):
    write_image(tmp_path / "car.png", _video()[0])
    write_video(tmp_path / "one.gif", _video(1), frames_per_second=8)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    (tmp_path / "empty").mkdir()
    for given, sentence in (
        (tmp_path / "car.png", "is an image; a motion needs a video"),
        (tmp_path / "one.gif", "has 1 frame; a motion needs 2 or more"),
        (tmp_path / "missing.mp4", "does not exist|no such|there is no"),
        (tmp_path / "broken.mp4", "broken.mp4"),
        (tmp_path / "empty", "holds no image"),
        (_pictures(_video(1))[0], "a single image"),
        (_pictures(_video(1)), "has 1 frame"),
        (_video(1), "has 1 frame"),
        (_video()[0], r"expected \(T, C, H, W\)"),
        (2 * _video(), "expected floats in"),
        (_video() * float("nan"), "NaN or infinity"),
        (7, "the video is a int; expected a file"),
        ([], "empty"),
    ):
        with pytest.raises(InputError, match=sentence):
            read_reference(given, num_frames=8, size=(32, 48))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="num_frames is 1"):
        read_reference(_video(), num_frames=1, size=(32, 48))
