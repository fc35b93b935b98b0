"""The tracks that are true of a rendered sprites video: no pixel is looked at."""

import torch
from torch import Tensor

from kinema.measure.tracks import Tracks, grid_positions
from kinema.sprites import Rendering
from kinema.sprites.shapes import signed_distance


def sprite_tracks(rendering: Rendering, index: int = 0, *, grid_size: int = 55) -> Tracks:
    """Return where points of the first frame truly go, on the sprite and on its background.

    A point p on the sprite goes with it, scaled and turned about its centre,

        p_t = c_t + (r_t / r_0) R(a_t - a_0) (p - c_0)

    with the centre c, the radius r and the rotation a of the rendering; any other goes with the
    camera, p_t = p + k_t - k_0. A point is visible inside the frame and, on the background, where
    the sprite does not cover it. Distractors are not in the rendering's truth, so the points they
    cover count as background.

    Args:
        rendering: of B videos.
        index: which of them.
        grid_size: points along each side of the grid over the first frame.

    Returns:
        (grid_size ** 2, T, 2), in half frame widths.

    Raises:
        InputError: `grid_size` is below 1 or the video has a single frame.
    """
    height, width = rendering.video.shape[3:]
    start = grid_positions(grid_size, height=height, width=width)
    on_sprite = points_on_sprite(rendering, index, start[:, None])[:, 0]
    centre, scale = rendering.trajectory[index], rendering.scale[index]
    rotation, camera = rendering.rotation[index], rendering.camera[index]

    offset = (start - centre[0])[:, None] * (scale / scale[0])[:, None]
    moved = centre + _turn(offset, rotation - rotation[0])
    carried = start[:, None] + (camera - camera[0])
    position = torch.where(on_sprite[:, None, None], moved, carried)

    half = position.new_tensor((width, height)) / min(height, width)
    inside = (position.abs() <= half).all(dim=2)
    covered = points_on_sprite(rendering, index, position) & ~on_sprite[:, None]
    return Tracks(position, inside & ~covered)


def points_on_sprite(rendering: Rendering, index: int, position: Tensor) -> Tensor:
    """Return which points lie on the sprite, (N, T) bool.

    Args:
        rendering: of B videos.
        index: which of them.
        position: (N, T, 2) in half frame widths, of its first T frames.
    """
    num_frames = position.shape[1]
    apart = position - rendering.trajectory[index, :num_frames]
    upright = _turn(apart, -rendering.rotation[index, :num_frames])
    upright = upright / rendering.scale[index, :num_frames, None]
    shape = rendering.descriptions[index].shape
    return signed_distance(shape, upright[..., 0], upright[..., 1]) <= 0


def _turn(vector: Tensor, angle: Tensor) -> Tensor:
    """Turn vectors (N, T, 2) clockwise as seen by angles (T,) in radians."""
    cosine, sine = angle.cos(), angle.sin()
    x, y = vector.unbind(dim=-1)
    return torch.stack((cosine * x - sine * y, sine * x + cosine * y), dim=-1)
