import math

import pytest
import torch

from kinema.errors import InputError
from kinema.measure import displacement_cosine, path_error, path_length_ratio


def line(x: float, y: float, num_frames: int = 16) -> torch.Tensor:
    u = torch.linspace(0, 1, num_frames)[:, None]
    return (u * torch.tensor((x, y)))[None]


def rest(num_frames: int = 16) -> torch.Tensor:
    return torch.zeros(1, num_frames, 2)


def wander(seed: int) -> torch.Tensor:
    steps = torch.randn(4, 16, 2, generator=torch.Generator().manual_seed(seed))
    return 0.1 * steps.cumsum(dim=1)


def test_displacement_cosine_is_the_formula():
    track, reference = wander(0).double(), wander(1).double()
    track[0, 5] = track[0, 4]
    reference[1, 9] = reference[1, 8]
    expected = []
    for p, q in zip(track.tolist(), reference.tolist(), strict=True):
        total = weights = 0.0
        for t in range(15):
            d = (p[t + 1][0] - p[t][0], p[t + 1][1] - p[t][1])
            r = (q[t + 1][0] - q[t][0], q[t + 1][1] - q[t][1])
            if math.hypot(*r) < 0.01:
                continue
            weights += math.hypot(*r)
            if math.hypot(*d) >= 0.01:
                cosine = (d[0] * r[0] + d[1] * r[1]) / math.hypot(*d) / math.hypot(*r)
                total += math.hypot(*r) * cosine
        expected.append(total / weights)
    found = displacement_cosine(track, reference)
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_same_way_scores_one_wherever_and_however_fast():
    assert displacement_cosine(0.5 * line(1, 0) + 0.3, line(1, 0)).item() == pytest.approx(1)
    assert displacement_cosine(line(0, 1), line(1, 0)).item() == pytest.approx(0, abs=1e-6)
    assert displacement_cosine(line(-1, 0), line(1, 0)).item() == pytest.approx(-1)


def test_a_resting_track_scores_nothing_against_a_moving_one():
    jitter = 0.001 * torch.randn(1, 16, 2, generator=torch.Generator().manual_seed(0))
    assert displacement_cosine(jitter, line(1, 0)).item() == 0
    assert displacement_cosine(line(1, 0), jitter).item() == 0
    assert displacement_cosine(jitter, rest()).item() == 1
    assert path_length_ratio(jitter, line(1, 0)).item() < 0.01
    assert path_length_ratio(jitter, rest()).item() == 1


def test_other_lengths_are_resampled():
    assert displacement_cosine(line(1, 1, 8), line(1, 1, 16)).item() == pytest.approx(1)
    assert path_error(line(1, 1, 8), line(1, 1, 16)).item() == pytest.approx(0, abs=1e-6)


def test_more_frames_of_a_path_change_nothing():
    for num_frames in (16, 121, 400):
        opposite = line(-0.9, 0, num_frames)
        assert displacement_cosine(line(0.9, 0), opposite).item() == pytest.approx(-1)
        assert displacement_cosine(opposite, opposite).item() == pytest.approx(1)
    long = [line(x, 0, 121) for x in (0.5, -0.5)]
    assert displacement_cosine(*long).item() == pytest.approx(-1)
    # Slower than what counts as moving, in any number of frames.
    assert displacement_cosine(line(0.1, 0, 8), line(-0.1, 0, 121)).item() == 1


def test_path_error_is_a_distance_and_forgives_the_place_only_when_aligned():
    moved = line(1, 0) + torch.tensor((0.3, 0.4))
    assert path_error(moved, line(1, 0)).item() == pytest.approx(0, abs=1e-6)
    assert path_error(moved, line(1, 0), aligned=False).item() == pytest.approx(0.5, abs=1e-6)


def test_path_length_ratio_compares_extents_both_ways():
    assert path_length_ratio(0.5 * line(1, 0), line(0, 1)).item() == pytest.approx(0.5)
    assert path_length_ratio(line(1, 0), 0.5 * line(0, 1)).item() == pytest.approx(0.5)


@pytest.mark.parametrize("measure", [displacement_cosine, path_error, path_length_ratio])
def test_what_is_not_a_pair_of_tracks_is_refused(measure):
    with pytest.raises(InputError, match=r"trajectory has shape \(16, 2\)"):
        measure(torch.zeros(16, 2), line(1, 0))
    with pytest.raises(InputError, match="T at least 2"):
        measure(line(1, 0), torch.zeros(1, 1, 2))
    with pytest.raises(InputError, match="2 trajectories for 1 references"):
        measure(torch.zeros(2, 16, 2), line(1, 0))
