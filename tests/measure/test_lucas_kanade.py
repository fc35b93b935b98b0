import math
import sys

import pytest
import torch

from kinema.errors import InputError
from kinema.measure import (
    LucasKanade,
    Tracks,
    degrade,
    dmt_motion_fidelity,
    motion_fidelity,
    sprite_tracks,
)
from kinema.measure.sprite_tracks import points_on_sprite
from kinema.measure.tracks import to_pixels
from kinema.sprites import MOTIONS, Nuisances, Rendering, render, sample_scenes
from kinema.video import read_video

cv2 = pytest.importorskip("cv2")

TRACKER = LucasKanade(grid_size=32)


def errors_in_pixels(rendering: Rendering, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Distances from the truth where both see a point: of points of the sprite, and of others."""
    height, width = rendering.video.shape[3:]
    found = TRACKER(rendering.video[index])
    truth = sprite_tracks(rendering, index, grid_size=32)
    apart = (
        to_pixels(found.position, height=height, width=width)
        - to_pixels(truth.position, height=height, width=width)
    ).norm(dim=2)
    both = found.visible & truth.visible
    on = points_on_sprite(rendering, index, truth.position[:, :1])
    return apart[both & on], apart[both & ~on]


@pytest.mark.parametrize("background", ["grey", "gradient"])
def test_points_of_a_sprite_are_followed_to_a_fraction_of_a_pixel(background):
    scenes = sample_scenes(
        12, seed=0, backgrounds=[background], motions=["right", "circle-clockwise", "bounce"]
    )
    rendering = render(scenes)
    errors = [errors_in_pixels(rendering, index)[0] for index in range(12)]
    assert min(len(error) for error in errors) > 100
    assert torch.cat(errors).median() < 0.1
    assert torch.cat(errors).quantile(0.9) < 0.5


def test_a_moving_camera_is_followed_on_the_background():
    scenes = sample_scenes(
        4, seed=0, backgrounds=["textured"], motions=["still"], nuisances=Nuisances(camera=0.5)
    )
    rendering = render(scenes, height=96, width=128)
    for index in range(4):
        _, background = errors_in_pixels(rendering, index)
        assert len(background) > 1000
        assert background.median() < 0.2


def test_the_same_motion_of_another_sprite_scores_high_and_others_low():
    motions = ("right", "down-left", "bounce", "still")
    first, second = (
        [
            TRACKER(degrade(render(scenes).video, noise=0.03, blur=0.6, seed=seed)[0])
            for k, motion in enumerate(motions)
            for scenes in [sample_scenes(1, seed=seed + k, motions=[motion])]
        ]
        for seed in (0, 100)
    )
    for i, generated in enumerate(second):
        for j, reference in enumerate(first):
            score = motion_fidelity(generated, reference)
            assert score > 0.9 if i == j else score < 0.6, (motions[i], motions[j])


def test_what_is_tracked_scores_high_against_the_truth():
    scenes = sample_scenes(6, seed=0, motions=["right", "circle-clockwise", "bounce", "zigzag"])
    rendering = render(scenes)
    for index in range(6):
        truth = sprite_tracks(rendering, index, grid_size=32)
        assert motion_fidelity(TRACKER(rendering.video[index]), truth) > 0.8


def test_noise_on_two_still_videos_is_not_taken_for_motion():
    still = render(sample_scenes(8, seed=0, motions=["still"])).video
    noisy = [TRACKER(video) for video in degrade(still, noise=0.03, blur=0.6, seed=0)]
    assert {motion_fidelity(video, noisy[0]) for video in noisy} == {1}


@pytest.mark.parametrize("motion", ["right", "up-left"])
def test_a_reversed_sprite_scores_low(motion):
    videos = render(sample_scenes(6, seed=1, motions=[motion])).video
    scores = [motion_fidelity(TRACKER(video.flip(0)), TRACKER(video)) for video in videos]
    # By the truth each is -1; the best of many partners is one that slid along an edge.
    assert max(scores) < -0.2
    assert sum(scores) / len(scores) < -0.5


def test_lost_points_stay_where_they_were_and_stay_lost():
    rendering = render(sample_scenes(1, seed=0, backgrounds=["textured"], motions=["right"]))
    tracks = TRACKER(rendering.video[0])
    assert tracks.position.shape == (1024, 16, 2)
    lost = ~tracks.visible
    assert lost[:, -1].any()
    assert torch.equal(lost, lost.cummax(dim=1).values)
    steps = tracks.position.diff(dim=1).norm(dim=2)
    assert (steps[lost[:, 1:]] == 0).all()
    assert (tracks.position[tracks.visible].abs() <= 1).all()
    assert tracks.visible[:, 0].all()


def test_all_motions_of_the_world_can_be_tracked():
    scenes = sample_scenes(len(MOTIONS), seed=2, backgrounds=["black"])
    for video in render(scenes).video:
        assert TRACKER(video, clip="a sprite").counted.sum() > 20


def test_a_clip_without_texture_is_named():
    with pytest.raises(InputError, match=r"no tracks found in fog\.mp4: none of 1024 points"):
        TRACKER(torch.full((8, 3, 64, 64), 0.5), clip="fog.mp4")
    with pytest.raises(InputError, match=r"fog\.mp4 has shape \(3, 64, 64\)"):
        TRACKER(torch.zeros(3, 64, 64), clip="fog.mp4")
    with pytest.raises(InputError, match="grid_size is 0"):
        LucasKanade(grid_size=0)(torch.rand(2, 3, 64, 64))
    with pytest.raises(InputError, match="window is 8"):
        LucasKanade(window=8)


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"install kinema\[measure\]"):
        LucasKanade()
    with pytest.raises(InputError, match=r"install kinema\[measure\]"):
        TRACKER(torch.rand(4, 3, 64, 64))


def test_a_real_clip_is_like_itself_halved_and_unlike_its_frozen_frame(real_clips):
    clip = real_clips["reference_clips/wolf.mp4"]
    video = read_video(clip.path).video[:12, :, ::2, ::2]
    tracker = LucasKanade(grid_size=24)
    tracks = tracker(video, clip=clip.name)
    assert tracks.counted.float().mean() > 0.5
    assert motion_fidelity(tracks, tracks) == pytest.approx(1)
    small = tracker(torch.nn.functional.avg_pool2d(video, 2))
    assert motion_fidelity(small, tracks) > 0.9
    assert motion_fidelity(tracker(video.flip(0)), tracks) < 0
    frozen = tracker(video[:1].expand(12, -1, -1, -1))
    assert motion_fidelity(frozen, tracks) == 0
    assert motion_fidelity(frozen, frozen) == 1


def test_a_real_clip_scores_below_one_against_itself_as_published(real_clips):
    video = read_video(real_clips["reference_clips/wolf.mp4"].path).video[:12, :, ::2, ::2]
    tracks = LucasKanade(grid_size=24)(video)
    assert math.isnan(dmt_motion_fidelity(tracks, tracks))
    moves = (tracks.position.diff(dim=1).norm(dim=2) > 0).all(dim=1)
    whole = Tracks(tracks.position[moves])
    assert 0.5 < dmt_motion_fidelity(whole, whole) < 0.99
    assert motion_fidelity(whole, whole) == pytest.approx(1)
