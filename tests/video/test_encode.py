import errno
import os
import subprocess
import sys
import textwrap

import av
import pytest
import torch

from kinema.errors import InputError
from kinema.video import encode, gif_rate, probe, read_video, write_video


def psnr(a, b):
    return float(-10 * torch.log10(((a - b) ** 2).mean()))


@pytest.fixture
def smooth():
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, 96), torch.linspace(0, 1, 128), indexing="ij"
    )
    return torch.stack(
        [torch.stack([columns, rows, torch.full_like(rows, t / 12)]) for t in range(12)]
    )


def test_a_written_mp4_comes_back_close(tmp_path, smooth):
    path = tmp_path / "clip.mp4"
    write_video(path, smooth, frames_per_second=24)
    clip = read_video(path)
    assert clip.frames.shape == smooth.shape
    assert clip.frames_per_second == 24
    assert psnr(clip.video, smooth) > 40


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize(
    "colour", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)]
)
def test_saturated_colours_survive(tmp_path, colour, suffix):
    video = torch.tensor(colour).float()[None, :, None, None].expand(4, 3, 32, 32)
    path = tmp_path / f"clip{suffix}"
    write_video(path, video, frames_per_second=10)
    assert psnr(read_video(path).video, video) > 40


def test_the_mp4_says_which_colours_it_uses_and_has_its_index_in_front(tmp_path, smooth):
    path = tmp_path / "clip.mp4"
    write_video(path, smooth, frames_per_second=24)
    import av

    with av.open(str(path)) as written:
        frame = next(written.decode(video=0))
    assert (frame.colorspace, frame.color_range, frame.color_primaries) == (1, 1, 1)
    assert frame.format.name == "yuv420p"
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_bytes_and_floats_give_the_same_file(tmp_path, smooth):
    write_video(tmp_path / "a.mp4", smooth, frames_per_second=24)
    write_video(tmp_path / "b.mp4", (smooth * 255).round().byte(), frames_per_second=24)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_an_odd_picture_is_padded_by_its_edge_and_not_scaled(tmp_path, smooth):
    odd = smooth[:, :, :95, :127]
    path = tmp_path / "odd.mp4"
    write_video(path, odd, frames_per_second=24, quality=5)
    video = read_video(path).video
    assert video.shape[-2:] == (96, 128)
    assert psnr(video[..., :95, :127], odd) > 40
    assert psnr(video[..., 95, :127], odd[..., 94, :]) > 35
    assert psnr(video[..., :95, 127], odd[..., :, 126]) > 35


def test_a_single_pixel_can_be_written(tmp_path):
    path = tmp_path / "pixel.mp4"
    write_video(path, torch.ones(2, 1, 1, 1), frames_per_second=1)
    assert read_video(path).frames.shape == (2, 3, 2, 2)


def test_a_grey_video_comes_back_grey(tmp_path, smooth):
    path = tmp_path / "grey.mp4"
    grey = smooth.mean(1, keepdim=True)
    write_video(path, grey, frames_per_second=24)
    assert psnr(read_video(path).video, grey.expand(-1, 3, -1, -1)) > 40


@pytest.mark.parametrize("rate", [1, 7.5, 24, 30000 / 1001, 60])
def test_the_rate_is_kept(tmp_path, smooth, rate):
    path = tmp_path / "clip.mp4"
    write_video(path, smooth, frames_per_second=rate)
    assert probe(path).frames_per_second == pytest.approx(rate)
    assert read_video(path).seconds[-1] == pytest.approx(11 / rate, rel=1e-3)


def test_a_gif_keeps_odd_sizes_still_frames_and_its_length(tmp_path, smooth):
    path = tmp_path / "clip.gif"
    still = smooth[:1, :, :95, :127].expand(30, -1, -1, -1)
    write_video(path, still, frames_per_second=30)
    clip = read_video(path)
    assert clip.frames.shape == (30, 3, 95, 127)
    assert clip.seconds[-1] == pytest.approx(29 / 30, abs=0.01)
    assert probe(path).frames_per_second == pytest.approx(30, rel=0.02)


@pytest.mark.parametrize(
    ("video", "rate", "name", "words"),
    [
        (torch.full((2, 3, 8, 8), float("nan")), 10, "a.mp4", "NaN"),
        (torch.full((2, 3, 8, 8), float("inf")), 10, "a.mp4", "infinity"),
        (torch.zeros(3, 8, 8), 10, "a.mp4", "shape"),
        (torch.zeros(2, 4, 8, 8), 10, "a.mp4", "4 channels"),
        (torch.zeros(0, 3, 8, 8), 10, "a.mp4", "at least one frame"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), 10, "a.mp4", "dtype"),
        ([1, 2, 3], 10, "a.mp4", "torch tensor"),
        (torch.zeros(2, 3, 8, 8), 0, "a.mp4", "frames_per_second is 0"),
        (torch.zeros(2, 3, 8, 8), -1, "a.mp4", "frames_per_second is -1"),
        (torch.zeros(2, 3, 8, 8), float("nan"), "a.mp4", "frames_per_second is nan"),
        (torch.zeros(2, 3, 8, 8), 200, "a.gif", "to 100 in a GIF"),
        (torch.zeros(2, 3, 8, 8), 0.001, "a.gif", "from 0.0016 to"),
        (torch.zeros(2, 3, 8, 17000), 10, "a.mp4", "17000 pixels wide and 8 high"),
        (torch.zeros(2, 3, 8, 8), 10, "a.avi", "suffix"),
        (torch.zeros(2, 3, 8, 8), 10, "a", "suffix"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, video, rate, name, words):
    with pytest.raises(InputError, match=words):
        write_video(tmp_path / name, video, frames_per_second=rate)
    assert not list(tmp_path.iterdir())


NOISE = """
    import torch
    from kinema.video import write_video
    video = torch.rand(24, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    try:
        write_video({path!r}, video, frames_per_second=10, quality=10)
    except OSError as error:
        print(error.errno, error)
"""


def write_noise(path, *, first=""):
    script = textwrap.dedent(first) + textwrap.dedent(NOISE).format(path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.9995])
def test_a_disk_limit_leaves_what_was_there_and_names_the_cause(tmp_path, name, share):
    free = tmp_path / "free" / name
    video = torch.rand(24, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    write_video(free, video, frames_per_second=10, quality=10)
    path = tmp_path / name
    path.write_bytes(b"what was there before")
    limit = f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({int(free.stat().st_size * share)},) * 2)
    """
    assert write_noise(path, first=limit).startswith(f"{errno.EFBIG} ")
    assert path.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "free"])


def test_a_full_disk_surfaces_as_no_space_left(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk takes root")
    try:
        assert write_noise(disk / "clip.mp4").startswith(f"{errno.ENOSPC} ")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_lost_frames_are_noticed_after_writing(tmp_path, smooth, monkeypatch):
    """The last guard: as if the encoder had said nothing while the disk filled up."""
    write = encode._write_mp4
    monkeypatch.setattr(
        encode, "_write_mp4", lambda path, video, *rest: write(path, video[:-1], *rest)
    )
    with pytest.raises(OSError, match="11 of 12 frames"):
        write_video(tmp_path / "clip.mp4", smooth, frames_per_second=10)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path, smooth):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write"):
        write_video(tmp_path / "clip.mp4", smooth, frames_per_second=10)


def test_a_slow_gif_keeps_its_length(tmp_path, smooth):
    rate = gif_rate(0.0001)
    write_video(tmp_path / "slow.gif", smooth[:3], frames_per_second=rate)
    assert read_video(tmp_path / "slow.gif").seconds.tolist() == pytest.approx([0, 625, 1250])
    assert (gif_rate(24), gif_rate(240)) == (24, 100)


def test_an_error_of_ffmpegs_own_is_one_of_writing(tmp_path, smooth, monkeypatch):
    def fail(*_):
        raise av.error.FFmpegError(542398533, "Generic error in an external library")

    monkeypatch.setattr("kinema.video.encode._write_mp4", fail)
    with pytest.raises(OSError, match="Generic error") as raised:
        write_video(tmp_path / "a.mp4", smooth, frames_per_second=24)
    assert raised.value.errno == errno.EIO
    assert not list(tmp_path.iterdir())
