from dataclasses import replace

import pytest
import torch
from torch import Tensor

from kinema.errors import InputError
from kinema.measure import Judgement, degrade, judge
from kinema.sprites import BACKGROUNDS, COLOURS, SHAPES, render, sample_scenes, scenes_of


def video_of(*captions: str, seed: int = 0, **size: int) -> Tensor:
    rendered = render(scenes_of(list(captions), seed=seed), **size).video
    return degrade(rendered, noise=0.03, blur=0.6, seed=seed)


def empty(background: str) -> Tensor:
    scenes = scenes_of([f"a red star on a {background} background, staying still"], seed=3)
    nothing = replace(scenes, radius=torch.full_like(scenes.radius, 1e-4))
    return degrade(render(nothing).video, noise=0.03, blur=0.6, seed=0)


def side_by_side(left: str, right: str, *, apart: int) -> Tensor:
    """Two videos of a centred sprite, shifted `apart` pixels from the middle, half of each."""
    both = torch.roll(video_of(left), -apart, -1)
    both[..., 32:] = torch.roll(video_of(right), apart, -1)[..., 32:]
    return both


def assert_finite(judgement: Judgement) -> None:
    for name in Judgement.__dataclass_fields__:
        values = getattr(judgement, name)
        assert torch.isfinite(values.float()).all(), name


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_colour_and_shape_is_named_on_every_background(background):
    captions = [
        f"a {size} {colour} {shape} on a {background} background, moving left"
        for (size, colour), shape in zip(
            [(size, colour) for size in ("small", "large") for colour in COLOURS],
            SHAPES[1:] + SHAPES + SHAPES[:1],
            strict=True,
        )
    ]
    truth = render(scenes_of(captions, seed=4))
    found = judge(degrade(truth.video, noise=0.03, blur=0.6, seed=1))
    for name, right in found.agreement(truth.descriptions).items():
        assert right.all(), (name, [found.words(k) for k in (~right).nonzero()[:, 0].tolist()])
    assert found.one_sprite.all()
    for name in ("size", "colour", "shape", "background", "motion"):
        margin = getattr(found, f"{name}_margin")
        assert ((margin > 0.1) & (margin <= 1)).all(), name


def test_track_size_and_turn_are_the_true_ones():
    truth = render(sample_scenes(24, seed=11, shapes=["square", "triangle", "star", "cross"]))
    found = judge(truth.video)
    assert (found.trajectory - truth.trajectory).norm(dim=-1).max() < 0.02
    assert (found.radius / truth.scale - 1).abs().max() < 0.05
    # Unwrapped, so the whole course is right up to one turn that the shape cannot show.
    apart = found.rotation - truth.rotation
    assert (apart - apart.mean(dim=1, keepdim=True)).abs().max() < 0.03
    assert found.present.all()


def test_a_sprite_cut_by_the_border_is_placed_where_its_middle_is():
    scenes = scenes_of(["a large red square on a grey background, moving right"] * 4, seed=2)
    truth = render(replace(scenes, centre=scenes.centre + torch.tensor((0.25, 0.0))))
    edge = truth.trajectory[..., 0] + 0.75 * truth.scale
    assert (edge > 1.1).any()
    found = judge(truth.video)
    assert (found.trajectory - truth.trajectory).abs().max() < 0.05
    assert found.words(0)["shape"] == "square"
    assert (found.shape_votes[edge > 1] == -1).all()


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_an_empty_background_has_no_sprite(background):
    found = judge(empty(background))
    assert found.words(0) == {
        "size": None,
        "colour": None,
        "shape": None,
        "background": background,
        "motion": None,
    }
    assert not found.present.any()
    assert (found.num_sprites == 0).all()
    assert not found.one_sprite.any()
    assert_finite(found)


@pytest.mark.parametrize(("colour", "apart"), [("red", 16), ("green", 16), ("green", 7)])
def test_two_sprites_are_two_even_when_two_colours_touch(colour, apart):
    both = side_by_side(
        "a small red square on a navy background, staying still",
        f"a small {colour} square on a navy background, staying still",
        apart=apart,
    )
    found = judge(both)
    assert (found.num_sprites == 2).all()
    assert not found.one_sprite.any()


def test_a_sprite_that_goes_away_is_missed_in_those_frames_and_tracked_across_them():
    video = video_of("a red star on a navy background, moving right")
    whole = judge(video)
    video[:, 6:10] = empty("navy")[:, 6:10]
    found = judge(video)
    assert found.present[0].tolist() == [True] * 6 + [False] * 4 + [True] * 6
    assert not found.one_sprite[0]
    assert found.colour_votes[0, 6:10].tolist() == [-1] * 4
    assert found.colour_changes[0] == found.shape_changes[0] == 0
    assert found.words(0)["motion"] == "right"
    assert (found.trajectory - whole.trajectory).abs().max() < 0.02


def test_a_change_of_colour_halfway_is_one_change_among_fifteen():
    red = video_of("a red star on a navy background, moving right")
    blue = video_of("a blue star on a navy background, moving right")
    found = judge(torch.cat((red[:, :8], blue[:, 8:]), dim=1))
    assert found.colour_changes[0].item() == pytest.approx(1 / 15)
    assert found.colour_drift[0] > 0.3
    assert found.shape_changes[0] == 0
    steady = judge(red)
    assert steady.colour_changes[0] == 0
    assert steady.colour_drift[0] < 0.02


def test_a_change_of_shape_halfway_is_one_change_among_fifteen():
    star = video_of("a red star on a navy background, moving right")
    circle = video_of("a red circle on a navy background, moving right")
    found = judge(torch.cat((star[:, :8], circle[:, 8:]), dim=1))
    assert found.shape_changes[0].item() == pytest.approx(1 / 15)
    assert found.colour_changes[0] == 0


def test_duller_colours_and_a_tinted_background_are_still_named():
    video = video_of("a large purple cross on a striped background, growing", seed=1)
    tint = torch.tensor((0.05, 0.02, 0.0))
    found = judge((0.85 * video + tint[:, None, None]).clamp(0, 1))
    seen = 0.85 * torch.tensor(COLOURS["purple"]) + tint
    assert (found.sprite_colour - seen).abs().max() < 0.04
    assert found.words(0) == {
        "size": "large",
        "colour": "purple",
        "shape": "cross",
        "background": "striped",
        "motion": "grow",
    }


@pytest.mark.parametrize(
    "video",
    [
        torch.rand(2, 5, 3, 64, 64, generator=torch.Generator().manual_seed(0)),
        torch.zeros(1, 3, 3, 64, 64),
        torch.ones(1, 3, 3, 64, 64),
        torch.full((1, 3, 3, 64, 64), torch.nan),
        torch.full((1, 3, 3, 64, 64), torch.inf),
        7 * torch.randn(1, 3, 3, 20, 31, generator=torch.Generator().manual_seed(0)),
        torch.rand(1, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).half(),
    ],
    ids=["noise", "black", "white", "nan", "inf", "wild", "half"],
)
def test_what_shows_no_sprite_is_judged_without_a_sprite_or_a_nan(video):
    found = judge(video)
    assert not found.present.any()
    assert (found.colour == -1).all()
    assert_finite(found)


def test_a_flat_picture_of_a_stripe_is_not_striped():
    brown = torch.tensor((0.52, 0.40, 0.27))[:, None, None].expand(1, 4, 3, 64, 64)
    assert judge(brown).words(0)["background"] != "striped"


@pytest.mark.parametrize(
    ("height", "width", "num_frames"), [(48, 96, 16), (33, 47, 9), (128, 128, 8)]
)
def test_other_sizes_are_judged_as_well(height, width, num_frames):
    caption = "a large yellow triangle on a textured background, circling clockwise"
    truth = render(scenes_of([caption], seed=5), height=height, width=width, num_frames=num_frames)
    found = judge(degrade(truth.video, noise=0.02, blur=0.4, seed=0))
    assert all(right.all() for right in found.agreement(truth.descriptions).values())
    assert (found.trajectory - truth.trajectory).abs().max() < 0.03


def test_one_frame_has_an_appearance_but_no_motion():
    found = judge(video_of("a large white ring on a black background, growing", num_frames=1))
    assert found.words(0)["shape"] == "ring"
    assert found.words(0)["motion"] is None


def test_each_video_is_judged_by_itself():
    video = degrade(render(sample_scenes(11, seed=3)).video, noise=0.03, blur=0.6, seed=0)
    together, alone = judge(video), judge(video[9:10])
    assert together.words(9) == alone.words(0)
    assert torch.allclose(together.trajectory[9], alone.trajectory[0], atol=1e-4)


def test_the_video_is_left_as_it_was():
    video = video_of("a red star on a navy background")
    before = video.clone()
    judge(video)
    assert torch.equal(video, before)


@pytest.mark.parametrize(
    ("video", "says"),
    [
        (torch.zeros(16, 3, 64, 64), r"\(16, 3, 64, 64\); give \(B, T, 3, H, W\)"),
        (torch.zeros(1, 16, 4, 64, 64), r"give \(B, T, 3, H, W\)"),
        (torch.zeros(1, 16, 3, 64, 64, dtype=torch.uint8), "uint8; give floating point"),
        (torch.zeros(1, 16, 3, 8, 64), "16 pixels or more"),
        (torch.zeros(0, 16, 3, 64, 64), "one video or more"),
        (torch.zeros(1, 0, 3, 64, 64), "one frame or more"),
    ],
)
def test_what_is_not_a_batch_of_videos_is_refused(video, says):
    with pytest.raises(InputError, match=says):
        judge(video)


def test_agreement_forgives_what_a_caption_leaves_open():
    scenes = scenes_of(["a large red star on a navy background, moving right"], seed=0)
    truth = render(scenes)
    found = judge(truth.video)
    said = truth.descriptions[0]
    right = dict.fromkeys(("size", "colour", "shape", "background", "motion"), True)

    def agreed(**other: str | None) -> dict[str, bool]:
        return {
            name: bool(value) for name, value in found.agreement([replace(said, **other)]).items()
        }

    assert agreed() == {**right, "appearance": True}
    assert agreed(size=None, motion=None) == {**right, "appearance": True}
    assert agreed(motion="left") == {**right, "motion": False, "appearance": True}
    assert agreed(shape="cross") == {**right, "shape": False, "appearance": False}
    nothing = judge(empty("navy")).agreement([said])
    assert not any(bool(nothing[name]) for name in ("colour", "shape", "motion", "appearance"))


def test_agreement_wants_a_description_for_each_video():
    found = judge(video_of("a red star on a navy background"))
    with pytest.raises(InputError, match="0 descriptions for 1 videos"):
        found.agreement([])


def test_a_stained_sprite_is_one_sprite():
    """A decoder may leave a patch of another tint: it is a second object only in full colour."""
    video = video_of("a large yellow square on a navy background, staying still")
    stain = (video[:, :, :, 28:36, 28:36] * 0.45).clone()
    stain += 0.55 * torch.tensor(COLOURS["red"])[:, None, None]
    video[:, :, :, 28:36, 28:36] = stain
    assert judge(video).one_sprite[0]
    video[:, :, :, 28:36, 28:36] = torch.tensor(COLOURS["red"])[:, None, None]
    assert (judge(video).num_sprites == 2).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_named_from_the_frames_that_show_it_whole(shape):
    scenes = scenes_of([f"a large white {shape} on a grey background, moving right"] * 4, seed=2)
    truth = render(replace(scenes, centre=scenes.centre + torch.tensor((0.5, 0.1))))
    found = judge(degrade(truth.video, noise=0.03, blur=0.6, seed=0))
    assert {found.words(k)["shape"] for k in range(4)} == {shape}
