import pytest
import torch

from kinema.errors import InputError
from kinema.video import read_video, torchcodec

needs_torchcodec = pytest.mark.skipif(
    not torchcodec.is_available(), reason="torchcodec does not import here"
)


@needs_torchcodec
@pytest.mark.parametrize(
    "name",
    [
        "asl_signs/again.mkv",
        "reference_clips/car-turn-24.mp4",
        "reference_clips/flipping_a_pancake.mkv",
        "reference_clips/wolf.mp4",
        "torchvision_tests/WUzgd7C1pWA.mp4",
    ],
)
def test_torchcodec_and_pyav_give_identical_frames(real_clips, name):
    path = real_clips[name].path
    ours = read_video(path, num_frames=24, backend="pyav")
    theirs = read_video(path, num_frames=24, backend="torchcodec")
    assert torch.equal(ours.frames, theirs.frames)
    assert torch.equal(ours.seconds, theirs.seconds)


@needs_torchcodec
@pytest.mark.parametrize(
    "settings",
    [
        {"rotation": 90},
        {"rotation": 180},
        {"num_frames": 60, "options": {"bf": "3", "g": "12"}},
        {"codec": "mpeg4"},
        {"codec": "png", "pixel_format": "rgba", "alpha": 99},
        {"codec": "libvpx-vp9", "height": 63, "width": 95},
        {"pixel_format": "yuv420p10le"},
        {"options": {"x264-params": "tff=1"}},
    ],
)
def test_made_clips_are_identical_too(make_video, settings):
    path = make_video("clip.mov" if settings.get("codec") == "png" else "clip.mp4", **settings)
    ours, theirs = read_video(path), read_video(path, backend="torchcodec")
    assert torch.equal(ours.frames, theirs.frames)


def test_without_torchcodec_the_error_says_what_to_install(make_video, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchcodec.decoders", None)
    assert not torchcodec.is_available()
    with pytest.raises(InputError, match="install kinema"):
        read_video(make_video(), backend="torchcodec")
