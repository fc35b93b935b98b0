"""How near one track is to another: does a generated sprite go where the reference went?

All compare two tracks of positions (B, T, 2), in half frame widths, x right and y down. Tracks of
different lengths are first resampled to the longer one's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.errors import InputError

UNMOVING = 0.15
"""Speed, in half frame widths a clip, below which a track counts as unmoving: in 16 frames of 64
pixels a third of a pixel a frame, several times the judge's own error."""
_SMALLEST_SPREAD = 0.01


def displacement_cosine(
    trajectory: Tensor, reference: Tensor, *, unmoving: float = UNMOVING
) -> Tensor:
    """Return how far two tracks go the same way at the same time, (B,) in [-1, 1].

    With displacements d_t = p_{t+1} - p_t of the track and r_t of its reference,

        sum_t |r_t| * <d_t, r_t> / (|d_t| |r_t|)  /  sum_t |r_t|

    over the steps where the reference moves, |r_t| (T - 1) >= unmoving: each step's cosine,
    weighted by how far the reference goes in it. A step in which the reference moves and the track
    does not scores 0. Steps in which the reference rests do not count, so the jitter of an
    unmoving track decides nothing.

    1 is the same way throughout, 0 unrelated or resting, -1 the opposite way. Speed, place and
    size of a path do not enter; `path_error` has them. Where the reference never moves there is no
    way to go: the result is 1 if the track never moves either, else 0.

    Args:
        trajectory: (B, T, 2).
        reference: (B, T', 2).
        unmoving: in half frame widths a clip, so that more frames of one path change nothing.

    Raises:
        InputError: the tracks are not (B, T, 2) with the same B and at least two frames each.
    """
    trajectory, reference = _same_length(trajectory, reference)
    steps, wanted = trajectory.diff(dim=1), reference.diff(dim=1)
    length, wanted_length = steps.norm(dim=2), wanted.norm(dim=2)
    num_steps = steps.shape[1]
    moves, counts = num_steps * length >= unmoving, num_steps * wanted_length >= unmoving
    product = (length * wanted_length).clamp_min(1e-12)
    cosine = torch.where(moves, (steps * wanted).sum(dim=2) / product, 0.0).clamp(-1, 1)
    weight = torch.where(counts, wanted_length, 0.0)
    score = (weight * cosine).sum(dim=1) / weight.sum(dim=1).clamp_min(1e-12)
    both_rest = (~moves.any(dim=1)).to(score)
    return torch.where(counts.any(dim=1), score, both_rest)


def path_error(trajectory: Tensor, reference: Tensor, *, aligned: bool = True) -> Tensor:
    """Return the root mean square distance of a track from its reference, (B,), 0 or more.

    `sqrt(mean_t |p_t - q_t|^2)` in half frame widths; with `aligned`, both are first moved to have
    their mean at 0, so that only the path counts and not where it lies. Two resting tracks have
    (aligned) error 0.

    Raises:
        InputError: the tracks are not (B, T, 2) with the same B and at least two frames each.
    """
    trajectory, reference = _same_length(trajectory, reference)
    apart = trajectory - reference
    if aligned:
        apart = apart - apart.mean(dim=1, keepdim=True)
    return apart.square().sum(dim=2).mean(dim=1).sqrt()


def path_length_ratio(trajectory: Tensor, reference: Tensor) -> Tensor:
    """Return how far a track goes against its reference, (B,) in [0, 1].

    `min(a, b) / max(a, b)` of the root mean square distances a and b of the two tracks from their
    means: 1 for equally large paths, near 0 when one rests and the other moves, 1 when both rest
    (both below 0.01 half frame widths).

    Raises:
        InputError: the tracks are not (B, T, 2) with the same B and at least two frames each.
    """
    trajectory, reference = _same_length(trajectory, reference)
    spreads = torch.stack(
        [
            (track - track.mean(dim=1, keepdim=True)).square().sum(dim=2).mean(dim=1).sqrt()
            for track in (trajectory, reference)
        ]
    )
    least, most = spreads.amin(dim=0), spreads.amax(dim=0)
    return torch.where(most < _SMALLEST_SPREAD, 1.0, least / most.clamp_min(1e-12))


def _same_length(trajectory: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    for name, track in (("trajectory", trajectory), ("reference", reference)):
        if track.ndim != 3 or track.shape[2] != 2 or track.shape[1] < 2:
            raise InputError(
                f"{name} has shape {tuple(track.shape)}; give (B, T, 2) with T at least 2"
            )
    if len(trajectory) != len(reference):
        raise InputError(
            f"{len(trajectory)} trajectories for {len(reference)} references; give one for each"
        )
    num_frames = max(trajectory.shape[1], reference.shape[1])
    return _resample(trajectory, num_frames), _resample(reference, num_frames)


def _resample(track: Tensor, num_frames: int) -> Tensor:
    if track.shape[1] == num_frames:
        return track
    return F.interpolate(track.mT, size=num_frames, mode="linear", align_corners=True).mT
