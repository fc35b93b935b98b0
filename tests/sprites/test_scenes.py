import itertools
import math
from dataclasses import fields

import pytest
import torch

from kinema.errors import InputError
from kinema.sprites import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    Nuisances,
    Scenes,
    parse_caption,
    render,
    sample_captions,
    sample_scenes,
    scenes_of,
)
from kinema.sprites.motions import TRAVEL
from kinema.sprites.scenes import WANDERS
from kinema.sprites.shapes import ROTATION_ORDER


def same(one: Scenes, other: Scenes) -> bool:
    return all(
        torch.equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(Scenes)
        if isinstance(getattr(one, field.name), torch.Tensor)
    )


def test_a_seed_gives_the_same_scenes_and_another_seed_gives_others():
    assert same(sample_scenes(20, seed=3), sample_scenes(20, seed=3))
    assert not same(sample_scenes(20, seed=3), sample_scenes(20, seed=4))


def test_drawing_scenes_leaves_the_global_random_state_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    sample_captions(sample_scenes(5, seed=3), seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_circle_or_ring_never_spins():
    said = sample_scenes(3000, seed=0).descriptions()
    spinning = [one.shape for one in said if one.motion.startswith("spin")]
    assert len(spinning) > 200
    assert all(ROTATION_ORDER[shape] for shape in spinning)


def test_every_word_comes_as_often_as_any_other():
    scenes = sample_scenes(6000, seed=1)
    for name, num in (("size", 2), ("colour", 6), ("background", 6), ("motion", 18)):
        counts = torch.bincount(getattr(scenes, name), minlength=num)
        assert ((counts - 6000 / num).abs() < 5 * (6000 / num) ** 0.5).all(), name


@pytest.mark.parametrize("appearance", ["size", "colour", "background", "shape"])
def test_appearance_says_nothing_about_motion(appearance):
    """Chi-square of the contingency table, loosely: mean is the degrees of freedom."""
    scenes = sample_scenes(8000, seed=2)
    # A spin keeps to the shapes that show it, so shape is compared among the other motions.
    names = tuple(MOTIONS)
    kept = torch.tensor([not names[k].startswith("spin") for k in scenes.motion.tolist()])
    word, motion = getattr(scenes, appearance)[kept], scenes.motion[kept]
    table = torch.zeros(6, 18, dtype=torch.float64)
    table.index_put_((word, motion), torch.ones(len(word), dtype=torch.float64), accumulate=True)
    table = table[table.sum(dim=1) > 0][:, table.sum(dim=0) > 0]
    expected = table.sum(dim=1, keepdim=True) * table.sum(dim=0) / table.sum()
    chi_square = ((table - expected) ** 2 / expected).sum().item()
    freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
    assert chi_square < freedom + 5 * (2 * freedom) ** 0.5


def test_only_the_words_that_are_allowed_are_drawn():
    scenes = sample_scenes(
        200,
        seed=0,
        sizes=["large"],
        colours=["blue", "white"],
        shapes=["ring", "star"],
        backgrounds=["navy"],
        motions=["left", "spin-clockwise"],
    )
    said = scenes.descriptions()
    assert {one.size for one in said} == {"large"}
    assert {one.colour for one in said} == {"blue", "white"}
    assert {one.background for one in said} == {"navy"}
    assert {(one.motion, one.shape) for one in said} == {
        ("left", "ring"),
        ("left", "star"),
        ("spin-clockwise", "star"),
    }


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"colours": ["pink"]}, r"colour \['pink'\]; choose from red, green"),
        ({"sizes": []}, "size list is empty; choose from small, large"),
        ({"shapes": ["blob", "star"]}, r"shape \['blob'\]; choose from circle"),
        ({"backgrounds": ["sky"]}, r"background \['sky'\]"),
        ({"motions": ["fly"]}, r"motion \['fly'\]"),
        (
            {"shapes": ["circle", "ring"], "motions": ["spin-clockwise"]},
            "none of the shapes circle, ring shows that it spins; add one of square, triangle",
        ),
    ],
)
def test_unknown_words_are_refused_with_the_known_ones(wrong, says):
    with pytest.raises(InputError, match=says):
        sample_scenes(5, seed=0, **wrong)


def test_cyclic_motions_begin_in_the_share_of_their_cycle_that_is_asked_for():
    assert 0.1 < sample_scenes(200, seed=0, phase_spread=0.125).phase.max() <= 0.125
    anywhere, nearly_one_place = (sample_scenes(9, seed=0, phase_spread=s) for s in (1, 0.125))
    assert torch.allclose(anywhere.phase / 8, nearly_one_place.phase)
    assert torch.equal(anywhere.background_phase, nearly_one_place.background_phase)


@pytest.mark.parametrize("spread", [0, -0.1, 1.1, math.nan])
def test_a_share_of_the_cycle_that_is_none_is_refused(spread):
    with pytest.raises(InputError, match=f"phase_spread is {spread}"):
        sample_scenes(1, seed=0, phase_spread=spread)


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_wanders_is_refused_where_it_is_none(share):
    with pytest.raises(InputError, match=f"wander_share is {share}"):
        sample_scenes(1, seed=0, wander_share=share)


def test_sprites_that_wander_go_ways_without_a_name_and_change_nothing_else():
    named, some = (sample_scenes(400, seed=0, wander_share=share) for share in (0, 0.25))
    wanders = some.motion == WANDERS
    assert 0.2 < wanders.float().mean() < 0.3
    assert torch.equal(some.motion[~wanders], named.motion[~wanders])
    for name in ("shape", "centre", "extent", "background_phase", "tilt"):
        assert torch.equal(getattr(some, name), getattr(named, name))
    said = some.descriptions()
    assert all((each.motion is None) == bool(one) for each, one in zip(said, wanders, strict=True))
    assert not any(", " in each for each in sample_captions(some[wanders], seed=0, motion_share=1))
    path = render(some[wanders], num_frames=9, height=8, width=8).trajectory
    length = path.diff(dim=1).norm(dim=2).sum(dim=1)
    # Arcs are measured by their chords, so a little short.
    assert torch.allclose(length, some.way[wanders, 0], rtol=0.03)
    heading = torch.atan2(*(path[:, -1] - path[:, 0]).unbind(dim=1)[::-1])
    off_the_eight = (heading / (math.pi / 4)).frac().abs()
    assert length.min() < 0.1 < 0.8 < length.max() < TRAVEL
    assert ((off_the_eight > 0.2) & (off_the_eight < 0.8)).float().mean() > 0.4


def test_a_word_given_twice_comes_twice_as_often():
    scenes = sample_scenes(6000, seed=0, motions=("left", "right", "left"))
    left = sum(said.motion == "left" for said in scenes.descriptions())
    assert abs(left / 6000 - 2 / 3) < 0.02


def test_a_negative_number_of_scenes_is_refused_and_none_is_fine():
    with pytest.raises(InputError, match="num_scenes is -1"):
        sample_scenes(-1, seed=0)
    assert len(sample_scenes(0, seed=0)) == 0
    assert len(scenes_of([], seed=0)) == 0


@pytest.mark.parametrize("name", [field.name for field in fields(Nuisances)])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_a_nuisance_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=f"nuisance {name} is {value}; give 0 or more"):
        Nuisances(**{name: value})


def test_there_are_no_half_distractors():
    with pytest.raises(InputError, match=r"distractors is 1\.5; give a whole number"):
        Nuisances(distractors=1.5)


def test_scenes_of_captions_show_what_the_captions_say():
    captions = [
        f"a {size} {colour} {shape} on a {background} background, {motion}"
        for (size, colour, shape, background), motion in zip(
            itertools.islice(itertools.product(SIZES, COLOURS, SHAPES, BACKGROUNDS), 0, None, 3),
            itertools.cycle([said for said in MOTIONS.values() if "spinning" not in said]),
            strict=False,
        )
    ]
    scenes = scenes_of(captions, seed=9)
    assert [str(said) for said in scenes.descriptions()] == captions


def test_what_a_caption_leaves_open_is_drawn_anew_for_each():
    scenes = scenes_of(["a red ring on a navy background"] * 60, seed=0)
    said = scenes.descriptions()
    assert {one.size for one in said} == set(SIZES)
    assert len({one.motion for one in said}) > 8
    assert not any(one.motion.startswith("spin") for one in said)
    assert len(scenes.centre.unique(dim=0)) == 60


def test_a_caption_that_asks_a_ring_to_spin_is_refused():
    with pytest.raises(InputError, match="none of the shapes ring shows that it spins"):
        scenes_of(["a red ring on a navy background, spinning clockwise"], seed=0)


def test_scenes_are_taken_apart_by_slice_mask_and_index():
    scenes = sample_scenes(10, seed=0)
    assert scenes[2:5].descriptions() == scenes.descriptions()[2:5]
    assert len(scenes[scenes.motion >= 0]) == 10
    assert scenes[torch.tensor([3, 1])].descriptions() == [
        scenes.descriptions()[3],
        scenes.descriptions()[1],
    ]


def test_captions_name_the_scene_and_leave_out_the_share_asked_for():
    scenes = sample_scenes(3000, seed=0)
    captions = sample_captions(scenes, seed=1)
    parsed = [parse_caption(caption) for caption in captions]
    for said, truth in zip(parsed, scenes.descriptions(), strict=True):
        assert (said.colour, said.shape, said.background) == (
            truth.colour,
            truth.shape,
            truth.background,
        )
        assert said.size in (None, truth.size)
        assert said.motion in (None, truth.motion)
    assert sum(said.size is not None for said in parsed) / 3000 == pytest.approx(1 / 2, abs=0.05)
    assert sum(said.motion is not None for said in parsed) / 3000 == pytest.approx(1 / 3, abs=0.05)
    assert captions == sample_captions(scenes, seed=1)
    assert captions != sample_captions(scenes, seed=2)


@pytest.mark.parametrize("share", [0, 1])
def test_captions_name_every_motion_or_none(share):
    captions = sample_captions(sample_scenes(50, seed=0), seed=1, motion_share=share)
    assert {parse_caption(caption).motion is not None for caption in captions} == {bool(share)}
