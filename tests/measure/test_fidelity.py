import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.errors import InputError
from kinema.measure import Tracks, dmt_motion_fidelity, motion_fidelity, sprite_tracks
from kinema.measure.tracks import grid_positions
from kinema.sprites import render, sample_scenes


def wander(seed: int, *, num: int = 12, num_frames: int = 10) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(num, num_frames, 2, generator=generator, dtype=torch.float64)
    return 0.1 * steps.cumsum(dim=1)


def straight(angles: torch.Tensor, *, num_frames: int = 8) -> torch.Tensor:
    """Points that move one half frame width each its own way, (N, T, 2)."""
    way = torch.stack((angles.cos(), angles.sin()), dim=-1)
    return way[:, None] * torch.linspace(0, 1, num_frames, dtype=angles.dtype)[:, None]


def rest(num: int = 12, num_frames: int = 10) -> torch.Tensor:
    return torch.zeros(num, num_frames, 2, dtype=torch.float64)


def fidelity_slowly(generated: Tracks, reference: Tracks, unmoving: float = 0.1) -> float:
    """Equation 6 and the masks in words of one syllable, for tracks of one length."""

    def steps(tracks: Tracks) -> list[list[tuple[float, float] | None]]:
        """Of each track that counts: a direction, (0, 0) where it rests, None where not seen."""
        found = []
        for n, track in enumerate(tracks.position.tolist()):
            num_frames = len(track)
            seen = [True] * num_frames if tracks.visible is None else tracks.visible[n].tolist()
            if sum(seen) < num_frames / 2:
                continue
            there = [place for place, shown in zip(track, seen, strict=True) if shown]
            box = [max(p[k] for p in there) - min(p[k] for p in there) for k in (0, 1)]
            directions: list[tuple[float, float] | None] = []
            for t in range(num_frames - 1):
                x, y = (track[t + 1][k] - track[t][k] for k in (0, 1))
                length = math.hypot(x, y)
                if not (seen[t] and seen[t + 1]):
                    directions.append(None)
                elif length * (num_frames - 1) < unmoving:
                    directions.append((0.0, 0.0))
                else:
                    directions.append((x / length, y / length))
            if math.hypot(*box) >= unmoving and any(d and d != (0, 0) for d in directions):
                found.append(directions)
        return found

    def correlation(track: list, partner: list) -> float:
        total, count = 0.0, 0
        for ours, theirs in zip(track, partner, strict=True):
            if ours is None or (ours == (0, 0) and theirs in (None, (0, 0))):
                continue
            count += 1
            if theirs is not None:
                total += ours[0] * theirs[0] + ours[1] * theirs[1]
        return total / count

    ours, theirs = steps(generated), steps(reference)
    if not ours or not theirs:
        return float(not ours and not theirs)
    forth = sum(max(correlation(g, r) for r in theirs) for g in ours) / len(ours)
    back = sum(max(correlation(r, g) for g in ours) for r in theirs) / len(theirs)
    return (forth + back) / 2


def dmt_slowly(generated: torch.Tensor, reference: torch.Tensor) -> float:
    best = []
    for n, track in enumerate(generated.tolist()):
        row = []
        for m, partner in enumerate(reference.tolist()):
            cosines = []
            for t in range(len(track) - 1):
                d = [track[t + 1][k] - track[t][k] for k in (0, 1)]
                e = [partner[t + 1][k] - partner[t][k] for k in (0, 1)]
                dot = d[0] * e[0] + d[1] * e[1]
                cosines.append(dot / math.hypot(*d) / math.hypot(*e))
            row.append(sum(cosines) / len(cosines) - (n == m))
        best.append(max(row))
    return sum(best) / len(best)


def some_tracks(seed: int, num: int) -> Tracks:
    """Tracks of which some rest, some jitter, and some are hidden for a while."""
    generator = torch.Generator().manual_seed(seed)
    position = wander(seed, num=num)
    position[::5] = position[::5, :1]
    position[1::5] *= 0.01
    visible = torch.rand(num, 10, generator=generator) < 0.85
    visible[2::5] = True
    return Tracks(position, visible)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 12), st.integers(3, 12))
def test_motion_fidelity_is_equation_6_with_its_masks(seed, num_generated, num_reference):
    generated, reference = some_tracks(seed, num_generated), some_tracks(seed + 1, num_reference)
    found = motion_fidelity(generated, reference)
    assert found == pytest.approx(fidelity_slowly(generated, reference), abs=1e-12)
    assert -1 <= found <= 1
    assert found == pytest.approx(motion_fidelity(reference, generated), abs=1e-12)
    assert motion_fidelity(generated, generated) == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**31),
    st.floats(-3, 3),
    st.integers(2, 4),
    st.permutations(range(12)),
)
def test_place_order_and_number_of_frames_do_not_matter(seed, shift, times, order):
    generated, reference = Tracks(wander(seed)), Tracks(wander(seed + 1))
    score = motion_fidelity(generated, reference)

    def slower(position: torch.Tensor) -> torch.Tensor:
        parts = torch.linspace(0, 9, 9 * times + 1, dtype=torch.float64)
        first = parts.floor().long().clamp_max(8)
        share = (parts - first)[:, None]
        return torch.lerp(position[:, first], position[:, first + 1], share)

    for other in (generated.position + shift, generated.position[list(order)]):
        assert motion_fidelity(Tracks(other), reference) == pytest.approx(score, abs=1e-9)
    longer = Tracks(slower(generated.position))
    assert motion_fidelity(longer, reference) == pytest.approx(score, abs=1e-9)
    both = motion_fidelity(longer, Tracks(slower(reference.position)))
    assert both == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize(("height", "width"), [(48, 80), (128, 128), (96, 64)])
def test_the_size_of_the_frame_does_not_matter(height, width):
    scenes = sample_scenes(2, seed=3, motions=["zigzag", "circle-clockwise"])
    small, other = render(scenes), render(scenes, height=height, width=width)
    for k in range(2):
        score = motion_fidelity(sprite_tracks(other, k), sprite_tracks(small, k))
        assert score == pytest.approx(1, abs=1e-3)


def test_a_video_translated_resized_or_at_another_speed_scores_one():
    tracks = Tracks(straight(torch.linspace(0, 2, 9).double()))
    moved = Tracks(0.4 * tracks.position + torch.tensor((0.5, -0.2)).double())
    assert motion_fidelity(moved, tracks) == pytest.approx(1)
    assert motion_fidelity(Tracks(tracks.position[:, ::7]), tracks) == pytest.approx(1)


def test_a_reversed_video_scores_minus_one_unless_it_goes_every_way():
    pan = Tracks(straight(torch.zeros(9).double()))
    assert motion_fidelity(Tracks(pan.position.flip(1)), pan) == pytest.approx(-1)
    bounce = render(sample_scenes(1, seed=0, motions=["down-right"]))
    there = sprite_tracks(bounce)
    back = Tracks(there.position.flip(1), there.visible.flip(1))
    assert motion_fidelity(back, there) < -0.9
    zoom = Tracks(straight(torch.linspace(0, 2 * math.pi, 25).double()))
    assert motion_fidelity(Tracks(zoom.position.flip(1)), zoom) == pytest.approx(1)


def test_a_perpendicular_motion_scores_zero():
    right, down = (Tracks(straight(torch.full((5,), angle))) for angle in (0.0, math.pi / 2))
    assert motion_fidelity(right, down) == pytest.approx(0, abs=1e-6)


def test_motion_that_is_missing_costs_as_much_as_motion_that_is_added():
    both = Tracks(straight(torch.tensor((0.0, math.pi)).double()))
    right = Tracks(straight(torch.zeros(1).double()))
    # Right has its match; the half that goes left finds none but its opposite.
    assert motion_fidelity(right, both) == pytest.approx((1 + 0) / 2)
    assert motion_fidelity(both, right) == pytest.approx((0 + 1) / 2)


def test_unmoving_videos_are_alike_and_unlike_moving_ones():
    jitter = Tracks(0.02 * wander(0) / 5)
    moving = Tracks(wander(1))
    assert motion_fidelity(Tracks(rest()), Tracks(rest())) == 1
    assert motion_fidelity(jitter, Tracks(rest())) == 1
    assert motion_fidelity(jitter, moving) == 0
    assert motion_fidelity(moving, Tracks(rest())) == 0


def test_a_few_stray_tracks_do_not_make_a_video_move():
    stray, moving = wander(2, num=2), Tracks(wander(1))
    video = Tracks(torch.cat((rest(199), stray)))
    assert motion_fidelity(video, Tracks(rest())) == 1
    assert motion_fidelity(moving, video) == 0
    video = Tracks(torch.cat((rest(190), stray)))
    assert motion_fidelity(video, Tracks(rest())) == 0
    assert motion_fidelity(video, Tracks(stray)) == pytest.approx(1)


def test_unmoving_tracks_and_single_resting_steps_are_left_out():
    moving, partner = wander(0), wander(1)
    score = motion_fidelity(Tracks(moving), Tracks(partner))
    still = torch.cat((moving, rest(50) + 0.3))
    assert motion_fidelity(Tracks(still), Tracks(partner)) == pytest.approx(score)
    pause = straight(torch.zeros(3).double(), num_frames=9)
    pause[:, 4] = pause[:, 3]
    # Seven of its eight steps move, and in the eighth its partner goes on alone.
    assert motion_fidelity(Tracks(pause), Tracks(pause)) == 1
    whole = Tracks(straight(torch.zeros(3).double(), num_frames=9))
    assert motion_fidelity(Tracks(pause), whole) == pytest.approx(7 / 8)


def test_what_is_not_seen_is_not_asked_of_a_track_and_not_given_to_its_partner():
    whole = Tracks(straight(torch.zeros(1).double(), num_frames=9))
    hidden = torch.ones(1, 9, dtype=torch.bool)
    hidden[:, 6:] = False
    wrong = whole.position.clone()
    wrong[:, 6:] = wrong[:, 6:].flip(1) - 5
    covered = Tracks(wrong, hidden)
    # Its own five known steps agree; the other track has three more, which it does not answer.
    assert motion_fidelity(covered, whole) == pytest.approx((1 + 5 / 8) / 2)
    assert motion_fidelity(covered, covered) == 1


def test_tracks_seen_in_less_than_half_of_the_frames_do_not_count():
    position = torch.cat((straight(torch.zeros(2).double()), wander(0, num=1, num_frames=8)))
    visible = torch.ones(3, 8, dtype=torch.bool)
    visible[2, 3:] = False
    tracks, right = Tracks(position, visible), Tracks(position[:2])
    assert motion_fidelity(tracks, right) == pytest.approx(1)
    visible = torch.zeros(3, 8, dtype=torch.bool)
    with pytest.raises(InputError, match="none of 3 tracks of the reference is seen in half"):
        motion_fidelity(right, Tracks(position, visible))


def test_the_published_score_is_its_formula():
    ours, theirs = wander(0), wander(1)
    found = dmt_motion_fidelity(Tracks(ours), Tracks(theirs))
    assert found == pytest.approx(dmt_slowly(ours, theirs), abs=1e-12)
    assert dmt_motion_fidelity(Tracks(ours), Tracks(ours)) == pytest.approx(dmt_slowly(ours, ours))


@pytest.mark.parametrize("num", [5, 8, 20])
def test_an_identical_video_scores_below_one_as_published(num):
    """N straight tracks, evenly spread over all directions: the nearest other is 2 pi / N away."""
    tracks = Tracks(straight(2 * math.pi * torch.arange(num).double() / num))
    assert dmt_motion_fidelity(tracks, tracks) == pytest.approx(math.cos(2 * math.pi / num))
    assert motion_fidelity(tracks, tracks) == pytest.approx(1)


def test_an_identical_turn_of_the_published_grid_scores_as_its_nearest_neighbours():
    """A turn about a corner: chord directions differ by the angle between two points of the grid.

    All points turn together, so the cosine of two tracks is that of the angle between the points,
    seen from the centre, and the score is the mean cosine to the nearest other angle.
    """
    grid = grid_positions(55, height=320, width=576).double() + torch.tensor((3.1, 2.3)).double()
    angle = 0.3 * torch.linspace(0, 1, 6).double()
    cosine, sine = angle.cos(), angle.sin()
    x, y = grid[:, :1], grid[:, 1:]
    tracks = Tracks(torch.stack((x * cosine - y * sine, x * sine + y * cosine), dim=-1))
    bearing = torch.atan2(grid[:, 1], grid[:, 0]).sort().values
    gap = bearing.diff()
    nearest = torch.minimum(
        torch.cat((gap[:1], gap)),
        torch.cat((gap, gap[-1:])),
    )
    expected = nearest.cos().mean().item()
    assert 0.999 < expected < 1
    assert dmt_motion_fidelity(tracks, tracks) == pytest.approx(expected, abs=1e-9)
    assert motion_fidelity(tracks, tracks) == pytest.approx(1, abs=1e-12)


def test_an_identical_video_of_unrelated_tracks_scores_far_below_one_as_published():
    tracks = Tracks(wander(0, num=60, num_frames=24))
    published = dmt_motion_fidelity(tracks, tracks)
    assert published == pytest.approx(dmt_slowly(tracks.position, tracks.position))
    assert published < 0.7
    assert motion_fidelity(tracks, tracks) == pytest.approx(1)


def test_one_static_track_makes_the_published_score_nan():
    moving, one_rests = wander(0), wander(0)
    one_rests[3] = one_rests[3, :1]
    for pair in ((one_rests, moving), (moving, one_rests), (rest(), rest())):
        ours, theirs = (Tracks(position) for position in pair)
        assert math.isnan(dmt_motion_fidelity(ours, theirs))
        assert not math.isnan(motion_fidelity(ours, theirs))


def test_two_unmoving_videos_score_by_their_jitter_as_published():
    a, b = (Tracks(1e-4 * wander(seed, num=100)) for seed in (0, 1))
    assert 0.3 < dmt_motion_fidelity(a, b) < 0.9
    assert motion_fidelity(a, b) == 1


def test_the_published_score_asks_one_way_only():
    right = torch.zeros(2).double()
    both = Tracks(straight(torch.tensor((0.0, math.pi)).double()))
    one = Tracks(straight(right))
    # The second of each finds the first of the other; the first has lost its own partner by I.
    assert dmt_motion_fidelity(one, both) == pytest.approx((0 + 1) / 2)
    assert dmt_motion_fidelity(both, one) == pytest.approx((1 - 1) / 2)


def test_other_numbers_or_lengths_have_no_published_score():
    with pytest.raises(InputError, match=r"\(12, 10, 2\) and reference tracks \(9, 10, 2\)"):
        dmt_motion_fidelity(Tracks(wander(0)), Tracks(wander(0, num=9)))
    with pytest.raises(InputError, match="motion_fidelity does not"):
        dmt_motion_fidelity(Tracks(wander(0)), Tracks(wander(0, num_frames=8)))


@pytest.mark.parametrize("unmoving", [0, -1, float("nan")])
def test_a_threshold_that_is_none_is_refused(unmoving):
    with pytest.raises(InputError, match="give a speed above 0"):
        motion_fidelity(Tracks(wander(0)), Tracks(wander(1)), unmoving=unmoving)
