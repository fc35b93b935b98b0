import random

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import ColorRange, Colorspace

from kinema.errors import InputError
from kinema.video import count_frames, probe, pyav, read_video, strided_indices
from kinema.video.container import open_video
from kinema.video.packets import scan_packets

# Codecs round and colours are halved in resolution; a wrong matrix or range errs by far more.
CLOSE = 4.0


def error_of(clip, expected_picture, **size):
    """Mean distance of each frame from what was encoded, in levels of 255."""
    return [
        np.abs(frame.permute(1, 2, 0).numpy().astype(int) - expected_picture(int(i), **size)).mean()
        for frame, i in zip(clip.frames, clip.indices, strict=True)
    ]


def test_every_frame_comes_back_in_order(make_video, expected_picture):
    clip = read_video(make_video(num_frames=20))
    assert clip.frames.shape == (20, 3, 64, 96)
    assert clip.frames.dtype == torch.uint8
    assert clip.frames_per_second == 10
    assert clip.seconds.tolist() == pytest.approx([i / 10 for i in range(20)])
    assert max(error_of(clip, expected_picture)) < CLOSE


def test_the_float_video_lies_between_0_and_1(make_video):
    video = read_video(make_video()).video
    assert video.dtype == torch.float32
    assert 0 <= video.min() < video.max() <= 1


def test_indices_come_in_the_order_asked_and_may_repeat(make_video):
    path = make_video()
    whole = read_video(path)
    clip = read_video(path, indices=[7, 2, 2, 11])
    assert clip.indices.tolist() == [7, 2, 2, 11]
    assert torch.equal(clip.frames, whole.frames[[7, 2, 2, 11]])
    assert torch.equal(clip.seconds, whole.seconds[[7, 2, 2, 11]])


def test_indices_may_depend_on_the_number_of_frames(make_video):
    path = make_video()
    clip = read_video(path, indices=lambda n: strided_indices(n, 3, stride=4, start=1))
    assert clip.indices.tolist() == [1, 5, 9]


def test_a_short_video_repeats_its_last_frame(make_video):
    clip = read_video(make_video(num_frames=3), num_frames=5)
    assert clip.indices.tolist() == [0, 1, 2, 2, 2]
    assert torch.equal(clip.frames[3], clip.frames[2])


VARIANTS = {
    "b-frames": {"options": {"bf": "3", "g": "12", "b-adapt": "0"}},
    "open-gop": {"options": {"bf": "3", "g": "12", "x264-params": "open-gop=1"}},
    "variable-rate": {
        "options": {"bf": "2", "g": "12"},
        "ticks_per_second": 1000,
        "times": np.cumsum(np.random.default_rng(0).integers(20, 90, 120)).tolist(),
    },
    "late-start": {"options": {"g": "12"}, "times": [35 + i for i in range(120)]},
    "mpeg4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "keyint=12:log-level=none"}},
    "vp9": {"codec": "libvpx-vp9", "options": {"g": "12", "cpu-used": "8", "deadline": "realtime"}},
    "one-keyframe": {"options": {"g": "250"}},
}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_seeking_gives_the_same_frames_as_reading_through(make_video, variant, suffix):
    path = make_video("clip" + suffix, num_frames=120, **VARIANTS[variant])
    whole = read_video(path)
    assert len(whole) == 120
    chance = random.Random(0)
    for indices in ([0, 60, 119], [119], [59, 60, 61], chance.sample(range(120), 6)):
        clip = read_video(path, indices=indices)
        assert torch.equal(clip.frames, whole.frames[indices]), indices
        assert torch.equal(clip.seconds, whole.seconds[indices])


@pytest.mark.parametrize("name", ["clip.avi", "clip.ts", "clip.webm"])
def test_other_containers_give_the_same_frames_too(make_video, name):
    settings = {
        "clip.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
        "clip.ts": {"options": {"bf": "2", "g": "12"}},
        # Its hidden reference pictures are packets that must not be counted.
        "clip.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}},
    }[name]
    path = make_video(name, num_frames=60, **settings)
    assert count_frames(path) == 60
    whole = read_video(path)
    assert len(whole) == 60
    assert torch.equal(read_video(path, indices=[3, 30, 59]).frames, whole.frames[[3, 30, 59]])


def test_few_frames_of_a_long_video_need_few_to_be_decoded(make_video, monkeypatch):
    path = make_video(num_frames=240, options={"g": "12", "bf": "0"})
    decoded = []
    named = pyav._named
    monkeypatch.setattr(pyav, "_named", lambda *given: decoded.append(1) or named(*given))
    read_video(path, num_frames=4)
    assert len(decoded) <= 1 + 4 * 12


def test_a_seek_that_loses_its_place_falls_back_to_reading_through(make_video, monkeypatch):
    path = make_video(num_frames=60, options={"g": "12"})
    whole = read_video(path)
    # Every seek now lands at the last keyframe, behind most of the frames.
    with open_video(path) as (container, stream):
        table = scan_packets(path, container, stream)
    table.keyframe_positions[:] = [table.keyframe_positions[-1]] * len(table.keyframes)
    pictures = dict(pyav.decode_chosen(path, table, [5, 30, 59]))
    for index in (5, 30, 59):
        assert np.array_equal(pictures[index], whole.frames[index].permute(1, 2, 0).numpy())


def test_variable_frame_rate_keeps_each_time(make_video):
    times = [0, 100, 150, 400, 1000, 1010]
    path = make_video(num_frames=6, times=times, ticks_per_second=1000)
    assert read_video(path).seconds.tolist() == pytest.approx([t / 1000 for t in times])


def test_times_count_from_the_first_frame(make_video):
    clip = read_video(make_video("late.mkv", times=[50 + i for i in range(12)]))
    assert clip.seconds[0] == 0
    assert clip.seconds[-1] == pytest.approx(1.1)


def test_the_rate_is_of_the_times_where_nothing_else_says_it(make_video):
    """As in what browsers record."""
    path = make_video("clip.mkv", times=[0, 40, 80, 120, 160], num_frames=5, ticks_per_second=1000)
    content = path.read_bytes()
    # DefaultDuration (three bytes, and one for its length) becomes a void of one byte and length.
    said = content.index(b"\x23\xe3\x83")
    void = bytes((0xEC, content[said + 3] + 2))
    path.write_bytes(content[:said] + void + content[said + 2 :])
    clip = read_video(path)
    assert clip.frames_per_second == pytest.approx(25)
    assert clip.seconds.tolist() == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert probe(path).frames_per_second == pytest.approx(25)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_flags_turn_the_picture_upright(make_video, expected_picture, degrees):
    path = make_video(rotation=degrees)
    clip = read_video(path)
    expected = np.rot90(expected_picture(0), degrees // 90)
    assert clip.frames.shape[-2:] == expected.shape[:2]
    got = clip.frames[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(got - expected).mean() < CLOSE
    info = probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    assert info.rotation_degrees == degrees


@pytest.mark.parametrize(
    ("codec", "pixel_format", "height", "width"),
    [
        ("libx264", "yuv444p", 63, 95),
        ("libvpx-vp9", "yuv420p", 63, 95),
        ("ffv1", "yuv420p", 33, 17),
        ("libx265", "yuv420p10le", 64, 96),
        ("libx264", "yuv422p10le", 64, 96),
        ("libx264", "yuvj420p", 64, 96),
        ("libx264", "yuv422p", 64, 96),
        ("png", "rgb24", 31, 47),
    ],
)
def test_sizes_and_pixel_formats_come_out_right(
    make_video, expected_picture, codec, pixel_format, height, width
):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = make_video(
        # Matroska takes no PNG from PyAV, QuickTime no FFV1.
        "clip.mov" if codec == "png" else "clip.mkv",
        num_frames=3,
        codec=codec,
        pixel_format=pixel_format,
        height=height,
        width=width,
        options=options | {"crf": "10"},
    )
    clip = read_video(path)
    assert clip.frames.shape == (3, 3, height, width)
    assert max(error_of(clip, expected_picture, height=height, width=width)) < CLOSE


def test_grey_video_gives_three_equal_channels(make_video):
    clip = read_video(make_video("grey.mkv", codec="ffv1", pixel_format="gray"))
    assert clip.frames.shape[1] == 3
    assert torch.equal(clip.frames[:, 0], clip.frames[:, 1])
    assert torch.equal(clip.frames[:, 0], clip.frames[:, 2])
    assert clip.frames.float().std() > 20


@pytest.mark.parametrize("space", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("extent", [ColorRange.MPEG, ColorRange.JPEG])
def test_colour_matrix_and_range_follow_the_tags(make_video, expected_picture, space, extent):
    path = make_video(colours=(space, extent), options={"crf": "5"})
    assert max(error_of(read_video(path), expected_picture)) < 2


def test_transparency_lies_over_black(make_video, expected_picture):
    path = make_video("alpha.mov", codec="png", pixel_format="rgba", alpha=128, num_frames=2)
    clip = read_video(path)
    expected = expected_picture(1).astype(int) * 128 / 255
    got = clip.frames[1].permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() <= 1


def test_size_resizes_exactly_or_by_the_shorter_side(make_video):
    path = make_video()
    assert read_video(path, size=(30, 50)).frames.shape == (12, 3, 30, 50)
    assert read_video(path, size=32).frames.shape == (12, 3, 32, 48)


def test_size_brings_a_flat_picture_to_the_same_colour(make_video):
    clip = read_video(make_video(), size=(8, 8))
    # The red block fills the first two rows and columns.
    assert clip.frames[0, 0, 0, 0] > 240
    assert clip.frames[0, 1, 0, 0] < 20


@pytest.mark.parametrize("size", [0, -3, (0, 5), (1, 2, 3), 2.5])
def test_impossible_sizes_are_refused(make_video, size):
    with pytest.raises(InputError, match="size is"):
        read_video(make_video(), size=size)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"indices": [0, 12]}, "has 12 frames, so index 12"),
        ({"indices": [-1]}, "index -1"),
        ({"indices": []}, "no frames"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"indices": [0], "num_frames": 1}, "both"),
        ({"backend": "decord"}, "backend is"),
    ],
)
def test_impossible_requests_are_refused(make_video, arguments, words):
    with pytest.raises(InputError, match=words):
        read_video(make_video(), **arguments)


def test_packets_in_front_of_the_first_keyframe_are_not_frames(tmp_path, make_video):
    whole = make_video("whole.ts", num_frames=48, options={"g": "12", "bf": "0"})
    cut = tmp_path / "cut.ts"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if number >= 6 and packet.size:
                packet.stream = stream
                target.mux(packet)
    clip = read_video(cut)
    frames = read_video(whole).frames
    assert torch.equal(clip.frames, frames[-len(clip) :])
    assert len(read_video(cut, num_frames=8)) == 8
    with pytest.raises(InputError, match="so index 47"):
        read_video(cut, indices=[47])


def test_a_trimmed_mp4_gives_what_its_edit_list_shows(make_video):
    path = make_video("whole.mp4", num_frames=48, options={"g": "12", "bf": "0"})
    whole = read_video(path)
    data = bytearray(path.read_bytes())
    # Turn the edit list's one entry to start 5 frames later and end 8 frames earlier.
    entry = data.index(b"elst") + 12
    scale_at = data.index(b"mvhd") + 16
    movie_scale = int.from_bytes(data[scale_at : scale_at + 4], "big")
    media_at = data.index(b"mdhd") + 16
    media_scale = int.from_bytes(data[media_at : media_at + 4], "big")
    data[entry : entry + 4] = (35 * movie_scale // 10).to_bytes(4, "big")
    data[entry + 4 : entry + 8] = (5 * media_scale // 10).to_bytes(4, "big")
    path.write_bytes(data)
    clip = read_video(path)
    assert torch.equal(clip.frames, whole.frames[5:40])
    assert torch.equal(read_video(path, indices=[0, 30]).frames, clip.frames[[0, 30]])


def test_an_animated_gif_is_a_video(make_video):
    clip = read_video(make_video("clip.gif", codec="gif", pixel_format="rgb8"))
    assert clip.frames.shape == (12, 3, 64, 96)


def test_a_name_with_a_colon_is_a_file_and_no_protocol(make_video):
    assert len(read_video(make_video("12:30 é.mp4"))) == 12


def test_real_clips_have_the_known_facts(real_clip):
    info = probe(real_clip.path)
    assert (info.width, info.height) == (real_clip.width, real_clip.height)
    assert info.frames_per_second == pytest.approx(real_clip.frames_per_second)
    assert count_frames(real_clip.path) == real_clip.num_frames
    whole = read_video(real_clip.path, size=(32, 32))
    assert len(whole) == real_clip.num_frames
    assert bool((whole.seconds.diff() > 0).all())
    some = read_video(real_clip.path, num_frames=6, size=(32, 32))
    assert torch.equal(some.frames, whole.frames[some.indices])
