import math
from dataclasses import replace

import pytest
import torch

from kinema.errors import InputError
from kinema.sprites import (
    COLOURS,
    MOTIONS,
    SHAPES,
    Nuisances,
    Rendering,
    Scenes,
    render,
    sample_scenes,
    scenes_of,
)
from kinema.sprites.backgrounds import PLAIN


def on_black(num: int = 24, *, seed: int = 0, **settings) -> Scenes:
    """White sprites on black, so that a pixel is its coverage; small, so that none is cut."""
    scenes = sample_scenes(
        num, seed=seed, colours=["white"], backgrounds=["black"], sizes=["small"], **settings
    )
    return replace(scenes, extent=scenes.extent * 0.9)


def coverage_of(rendering: Rendering) -> torch.Tensor:
    """Of white on black, (B, T, H, W) in float64."""
    black, white = PLAIN["black"][0], COLOURS["white"][0]
    return (rendering.video[:, :, 0].double() - black) / (white - black)


def places(rendering: Rendering) -> tuple[torch.Tensor, torch.Tensor, float]:
    height, width = rendering.video.shape[-2:]
    pixel = 2 / min(height, width)
    x = (torch.arange(width, dtype=torch.float64) + 0.5 - width / 2) * pixel
    y = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2) * pixel
    return x, y[:, None], pixel


@pytest.mark.parametrize(("height", "width"), [(64, 64), (49, 80), (96, 63)])
def test_the_trajectory_is_the_middle_of_the_pixels(height, width):
    rendered = render(on_black(), height=height, width=width)
    coverage, (x, y, _) = coverage_of(rendered), places(rendered)
    total = coverage.sum(dim=(-1, -2))
    middle = torch.stack(
        ((coverage * x).sum(dim=(-1, -2)) / total, (coverage * y).sum(dim=(-1, -2)) / total), dim=-1
    )
    assert (middle - rendered.trajectory).abs().max() < 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_the_scale_is_the_radius_of_the_pixels(shape):
    area = {
        "circle": math.pi * 0.88**2,
        "square": 1.56**2,
        "triangle": 3 * math.sqrt(3) * 0.56**2,
        "ring": math.pi * (0.96**2 - 0.48**2),
        "star": 5 * 1.12 * 0.50 * math.sin(math.pi / 5),
        "cross": 2 * (1.84 * 0.60) - 0.60**2,
    }[shape]
    rendered = render(on_black(shapes=[shape], motions=["grow", "shrink", "still", "right"]))
    coverage, (_, _, pixel) = coverage_of(rendered), places(rendered)
    found = coverage.sum(dim=(-1, -2)) * pixel**2
    assert (found / (area * rendered.scale**2) - 1).abs().max() < 0.03


def test_an_antialiased_circle_has_the_area_of_a_circle_wherever_it_lies():
    scenes = on_black(64, shapes=["circle"], motions=["still"])
    rendered = render(scenes, num_frames=1)
    coverage, (_, _, pixel) = coverage_of(rendered), places(rendered)
    found = coverage.sum(dim=(-1, -2)) * pixel**2
    expected = math.pi * (0.88 * rendered.scale.double()) ** 2
    assert (found / expected - 1).abs().max() < 5e-3
    hard = (coverage > 0.5).double().sum(dim=(-1, -2)) * pixel**2
    assert (hard / expected - 1).abs().max() > 1.5e-2


def test_the_rotation_is_that_of_the_pixels_clockwise_as_seen():
    """The tip of a triangle, its farthest point, points up turned clockwise by the rotation."""
    rendered = render(on_black(shapes=["triangle"], motions=["spin-clockwise"]), num_frames=5)
    coverage, (x, y, pixel) = coverage_of(rendered), places(rendered)
    right = x - rendered.trajectory[..., 0, None, None]
    down = y - rendered.trajectory[..., 1, None, None]
    turn = rendered.rotation[..., None, None]
    # The first pixels along the direction in which the tip should lie, and opposite to it.
    along = right * turn.sin() - down * turn.cos()
    across = (right * turn.cos() + down * turn.sin()).abs()
    on_axis = across < pixel
    tip = torch.where(on_axis & (coverage > 0.5), along, -9.0).amax(dim=(-1, -2))
    back = torch.where(on_axis & (coverage > 0.5), -along, -9.0).amax(dim=(-1, -2))
    assert (tip / rendered.scale - 1.12).abs().max() < 0.25
    assert (back / rendered.scale - 0.56).abs().max() < 0.2
    assert rendered.rotation.diff(dim=1).min() > 0


def test_sprites_have_the_colour_of_their_word():
    rendered = render(sample_scenes(60, seed=1, shapes=["square"]))
    for video, said, (x, y) in zip(
        rendered.video, rendered.descriptions, rendered.trajectory[:, 8].tolist(), strict=True
    ):
        pixel = video[8, :, int((y + 1) * 32), int((x + 1) * 32)]
        assert torch.allclose(pixel, torch.tensor(COLOURS[said.colour]), atol=1e-5)


@pytest.mark.parametrize("background", PLAIN)
def test_plain_backgrounds_have_their_colour_in_the_corners(background):
    video = render(sample_scenes(4, seed=1, backgrounds=[background], motions=["still"])).video
    corners = video[..., [0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.allclose(corners.mT, torch.tensor(PLAIN[background]).expand(4, 16, 4, 3))


@pytest.mark.parametrize(("height", "width", "num_frames"), [(1, 1, 1), (17, 5, 3), (32, 48, 2)])
def test_any_size_renders_within_bounds(height, width, num_frames):
    nuisances = Nuisances(camera=0.5, distractors=2, noise=0.2, flicker=0.3)
    scenes = sample_scenes(20, seed=0, nuisances=nuisances)
    rendered = render(scenes, num_frames=num_frames, height=height, width=width)
    assert rendered.video.shape == (20, num_frames, 3, height, width)
    assert rendered.video.dtype == torch.float32
    assert rendered.video.min() >= 0
    assert rendered.video.max() <= 1
    assert rendered.trajectory.shape == rendered.camera.shape == (20, num_frames, 2)
    assert rendered.scale.shape == rendered.rotation.shape == (20, num_frames)


def test_a_calm_video_is_within_bounds_and_the_same_again():
    scenes = sample_scenes(40, seed=0)
    first = render(scenes)
    assert first.video.min() >= 0
    assert first.video.max() <= 1
    assert torch.equal(first.video, render(scenes).video)


def test_no_scenes_render_to_no_videos():
    assert render(sample_scenes(0, seed=0)).video.shape == (0, 16, 3, 64, 64)


@pytest.mark.parametrize("name", ["num_frames", "height", "width"])
def test_sizes_below_one_are_refused_by_name(name):
    with pytest.raises(InputError, match=f"{name} is 0; give 1 or more"):
        render(sample_scenes(1, seed=0), **{name: 0})


def test_one_frame_is_the_middle_of_the_clip():
    scenes = sample_scenes(12, seed=0)
    one, three = render(scenes, num_frames=1), render(scenes, num_frames=3)
    assert torch.equal(one.trajectory[:, 0], three.trajectory[:, 1])
    assert torch.equal(one.video[:, 0], three.video[:, 1])


@pytest.mark.parametrize("nuisances", [Nuisances(), Nuisances(0.3, 2, noise=0.1, flicker=0.2)])
def test_scenes_render_alike_alone_and_in_company(nuisances):
    scenes = sample_scenes(30, seed=0, nuisances=nuisances)
    everyone = render(scenes).video
    assert torch.equal(render(scenes[7:8]).video, everyone[7:8])


def test_no_two_scenes_have_the_same_noise():
    scenes = sample_scenes(3, seed=5, nuisances=Nuisances(noise=0.01))
    caption = ["a small red square on a grey background, staying still"] * 2
    for some in (scenes, scenes_of(caption, seed=2**62, nuisances=Nuisances(noise=0.01))):
        calm = render(replace(some, nuisances=Nuisances())).video
        noise = (render(some).video - calm)[:2].flatten(1)
        assert torch.corrcoef(noise)[0, 1].abs() < 0.05


def test_every_motion_can_be_seen_on_the_screen():
    for motion in MOTIONS:
        caption = f"a large red cross on a grey background, {MOTIONS[motion]}"
        video = render(scenes_of([caption], seed=0)).video
        changes = (video[:, 1:] - video[:, :-1]).abs().amax(dim=(2, 3, 4))[0]
        # A bounce is as high in the frame before the ground as in the one after it.
        assert (changes > 0.1).sum().item() == {"still": 0, "bounce": 14}.get(motion, 15), motion


def test_a_camera_moves_background_and_sprite_alike():
    caption = "a small red square on a textured background, staying still"
    scenes = scenes_of([caption], seed=0, nuisances=Nuisances(camera=0.5))
    # A drift of whole pixels: 16 to the right and 8 up over 17 frames.
    scenes = replace(scenes, camera=torch.tensor([[16 / 32, -8 / 32]]))
    rendered = render(scenes, num_frames=3)
    first, last = rendered.video[0, 0], rendered.video[0, 2]
    assert torch.allclose(first[:, 8:, :-16], last[:, :-8, 16:], atol=1e-4)
    shift = rendered.camera[0, 2] - rendered.camera[0, 0]
    assert shift.tolist() == pytest.approx([0.5, -0.25])
    moved = rendered.trajectory[0, 2] - rendered.trajectory[0, 0]
    assert moved.tolist() == pytest.approx(shift.tolist())


def test_a_still_camera_keeps_the_background():
    scenes = sample_scenes(12, seed=3, motions=["still"])
    rendered = render(scenes)
    assert rendered.camera.abs().max() == 0
    assert torch.equal(rendered.video[:, 0], rendered.video[:, -1])


def test_noise_has_its_standard_deviation_and_is_new_in_every_frame():
    caption = "a small white square on a grey background, staying still"
    calm = render(scenes_of([caption], seed=0)).video
    noisy = render(scenes_of([caption], seed=0, nuisances=Nuisances(noise=0.05))).video
    grey = calm[0, 0, 0] == PLAIN["grey"][0]
    noise = (noisy - calm)[0][:, :, grey]
    assert noise.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(noise.mean().item()) < 1e-3
    correlation = torch.corrcoef(noise.flatten(1))
    assert (correlation - torch.eye(16)).abs().max() < 0.1


def test_flicker_scales_each_frame_as_a_whole():
    caption = "a small red square on a grey background, staying still"
    calm = render(scenes_of([caption], seed=0)).video
    flickering = render(scenes_of([caption], seed=0, nuisances=Nuisances(flicker=0.1))).video
    gain = (flickering / calm)[0].flatten(1)
    assert gain.std(dim=1).max() < 1e-5
    assert gain.min() >= 0.9 - 1e-5
    assert gain.max() <= 1.1 + 1e-5
    assert gain[:, 0].std() > 0.02


def test_distractors_are_smaller_move_and_stay_behind_the_sprite():
    nuisances = Nuisances(distractors=4)
    scenes = sample_scenes(30, seed=2, shapes=["square"], motions=["still"], nuisances=nuisances)
    rendered = render(scenes)
    # Distractors draw from the same seed, so the scene without them needs them taken away.
    calm = render(replace(scenes, distractors=scenes.distractors[:, :0]))
    differs = (rendered.video - calm.video).abs().amax(dim=2) > 0.05
    assert differs.any(dim=-1).any(dim=-1).all(dim=1).float().mean() > 0.9
    assert not torch.equal(differs[:, 0], differs[:, -1])
    assert (scenes.distractors[..., 2] < 0.5 * scenes.radius.max()).all()
    for k in range(30):
        x, y = ((rendered.trajectory[k, 0] + 1) * 32).int().tolist()
        assert not differs[k, :, y, x].any()


def test_noise_follows_the_seed():
    scenes = sample_scenes(2, seed=1, nuisances=Nuisances(noise=0.05))
    one, again, other = (
        render(replace(scenes, disturbance=scenes.disturbance + more)).video for more in (0, 0, 1)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
