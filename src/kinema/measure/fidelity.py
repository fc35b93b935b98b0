"""Motion fidelity: do the points of a generated video go as those of the reference went?

All compare two sets of tracks by the directions of their steps. Neither where a point lies nor how
fast it goes enters: the motion is to be kept, the layout may change.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.errors import InputError
from kinema.measure.tracks import Tracks

UNMOVING = 0.1
"""Half frame widths per clip: a point rests that would not get further than a 20th of the frame."""

_LEAST_MOVING = 0.01
"""Share of the tracks below which those that move are the tracker's errors."""


def motion_fidelity(generated: Tracks, reference: Tracks, *, unmoving: float = UNMOVING) -> float:
    """Return how far two videos move alike, in [-1, 1].

    With a set G of m tracks of the generated video and a set R of n of the reference,

        1/(2m) sum_{g in G} max_{r in R} corr(g, r) + 1/(2n) sum_{r in R} max_{g in G} corr(r, g)

    the mean of both directions, so that motion that is missing costs as much as motion that is
    added. With steps d_t of a track a and e_t of its partner b,

        corr(a, b) = sum_t <d_t / |d_t|, e_t / |e_t|> / (number of steps)

    over the steps that a is seen in and in which a or b moves. A step in which only one of the two
    moves, or in which b is not seen, counts and scores 0. A step is seen if the point is visible in
    all frames it touches.

    1 is the same motion, 0 unrelated, -1 all the opposite way; a video against itself scores 1, and
    so it does against itself translated, resized, or slower. The best of many partners is taken,
    wherever it lies, so unrelated motion scores above 0 where there is enough of it, and one that
    goes every way at once is much like its reverse: a zoom, or a camera that circles (0.97 for the
    authors' clip of a turning car). Judge those by eye.

    A point moves in a step if its speed is at least `unmoving`. Tracks of different lengths are
    first resampled to the longer one's, linearly, and speed is per clip, so that it does not matter
    into how many frames a motion is cut. A track counts if it is seen in at least half of the
    frames, moves in any step, and the box around its positions has a diagonal of `unmoving` or
    more; the last leaves out jitter, which is fast but goes nowhere. A video in which fewer than a
    hundredth of the tracks that are seen move is unmoving: trackers err. Two unmoving videos score
    1, one that moves and one that does not 0; the result is never NaN.

    Eq. 6 of Wang et al., Motion Inversion for Video Customization (arXiv 2403.20193), whose sum of
    both directions is halved here; the masks are ours.

    Args:
        generated: of m points.
        reference: of n points.
        unmoving: in half frame widths per clip. A tracker that errs by some share of a pixel in
            every frame of a long clip may want more.

    Raises:
        InputError: `unmoving` is not above 0, or no track of one video is seen in half of its
            frames.
    """
    if not unmoving > 0:
        raise InputError(f"unmoving is {unmoving}; give a speed above 0")
    num_frames = max(generated.position.shape[1], reference.position.shape[1])
    ours = _steps(generated, num_frames, unmoving, name="generated video")
    theirs = _steps(reference, num_frames, unmoving, name="reference")
    if ours is None or theirs is None:
        return float(ours is theirs)
    agreement = ours.direction.flatten(1) @ theirs.direction.flatten(1).T
    forth = agreement / _num_steps(ours, theirs)
    back = agreement.T / _num_steps(theirs, ours)
    score = (forth.amax(dim=1).mean() + back.amax(dim=1).mean()) / 2
    return float(score.clamp(-1, 1))


@dataclass(frozen=True)
class _Steps:
    """Steps of the tracks that move.

    Attributes:
        direction: of unit length, 0 where the point rests or is not seen, (N, T - 1, 2) float64.
        moves: (N, T - 1).
        rests: (N, T - 1); where it neither moves nor rests, the point is not seen.
    """

    direction: Tensor
    moves: Tensor
    rests: Tensor


def _steps(tracks: Tracks, num_frames: int, unmoving: float, *, name: str) -> _Steps | None:
    """Return the steps of the tracks that move, None of a video that does not."""
    counted = tracks.counted
    if not counted.any():
        raise InputError(
            f"none of {len(counted)} tracks of the {name} is seen in half of its frames; give "
            "those of a tracker that holds more points"
        )
    position = tracks.position[counted].detach().double().cpu()
    visible = torch.ones_like(position[..., 0])
    if tracks.visible is not None:
        visible = tracks.visible[counted].double().cpu()
    position = _resample(position.mT, num_frames).mT
    # Between a frame where a point is seen and one where it is not, it is not.
    visible = _resample(visible[:, None], num_frames)[:, 0] > 1 - 1e-6
    step = position.diff(dim=1) * (num_frames - 1)
    known = visible[:, 1:] & visible[:, :-1]
    speed = step.norm(dim=2)
    moves = known & (speed >= unmoving)
    direction = torch.where(moves[..., None], step / speed.clamp_min(1e-12)[..., None], 0.0)
    # A point that only jitters has fast steps too, but it does not get away.
    extent = _extent(position, visible)
    some = moves.any(dim=1) & (extent >= unmoving)
    if not some.any() or some.double().mean() < _LEAST_MOVING:
        return None
    return _Steps(direction[some], moves[some], (known & ~moves)[some])


def _extent(position: Tensor, visible: Tensor) -> Tensor:
    """Return the diagonal of the box around the positions that are seen, (N,)."""
    unseen = ~visible[..., None]
    most = position.masked_fill(unseen, -torch.inf).amax(dim=1)
    least = position.masked_fill(unseen, torch.inf).amin(dim=1)
    return (most - least).norm(dim=1)


def _resample(series: Tensor, num_frames: int) -> Tensor:
    if series.shape[-1] == num_frames:
        return series
    return F.interpolate(series, size=num_frames, mode="linear", align_corners=True)


def _num_steps(track: _Steps, partner: _Steps) -> Tensor:
    """Return over how many steps each track is compared with each partner, (N, M), 1 or more."""
    only_partner = track.rests.double() @ partner.moves.double().T
    return track.moves.sum(dim=1, keepdim=True) + only_partner


def dmt_motion_fidelity(generated: Tracks, reference: Tracks) -> float:
    """Return motion fidelity as DMT's `motion_fidelity_score.py` computes it, faults and all.

    With the step directions u of N generated tracks and v of as many reference tracks,

        S[n, m] = mean_t <u_{n,t}, v_{m,t}>,    1/N sum_n max_m (S - I)[n, m]

    where I is the identity. Use it only to compare with published figures, most of which were made
    so, with CoTracker and a grid of 55:

    - The identity takes 1 off each track's own partner, so a video against itself scores at most 1,
      and less the more its tracks differ: with m != n, mean_n max(0, max_m S[n, m]).
    - A step of length 0 has no direction: one track that rests exactly makes the result NaN.
    - Steps of a thousandth of a pixel count as much as any other, so the jitter of two unmoving
      videos decides.
    - What the reference does and the generated video does not costs nothing.
    - Whether a point is visible is not asked; `LucasKanade` leaves a point it has lost where it
      was, so with it the result is nearly always NaN.

    In [-1, 1] of two tracks or more, in [-2, 0] of one, or NaN. Yatim et al., Space-Time Diffusion
    Features for Zero-Shot Text-Driven Motion Transfer (CVPR 2024).

    Raises:
        InputError: the tracks are not as many, or not equally long.
    """
    if generated.position.shape != reference.position.shape:
        raise InputError(
            f"generated tracks have shape {tuple(generated.position.shape)} and reference tracks "
            f"{tuple(reference.position.shape)}; DMT's score needs as many points and frames in "
            "both, motion_fidelity does not"
        )
    ours, theirs = (
        step / step.norm(dim=2, keepdim=True)
        for step in (tracks.position.diff(dim=1) for tracks in (generated, reference))
    )
    # One product in place of (N, N, T) cosines, which a grid of 55 would make a gigabyte.
    similarity = ours.flatten(1) @ theirs.flatten(1).T / ours.shape[1]
    similarity = similarity - torch.eye(len(similarity), device=similarity.device)
    return float(similarity.amax(dim=1).mean())
