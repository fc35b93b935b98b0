from itertools import permutations

import numpy as np
import pytest
import torch

from kinema.errors import InputError
from kinema.motion_prompt import from_canonical, to_canonical

SIZES = {"B": 2, "T": 4, "C": 3, "H": 5, "W": 6}
LAYOUTS = [lead + "".join(axes) for lead in ("B", "") for axes in permutations("TCHW")]


def numbered_clip(layout: str) -> torch.Tensor:
    shape = [SIZES[axis] for axis in layout]
    return torch.arange(float(np.prod(shape))).reshape(shape)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_viewed_as_batch_time_channel_height_width_and_back(layout):
    clip = numbered_clip(layout)
    frames = to_canonical(clip, layout)
    assert frames.shape == (2 if "B" in layout else 1, 4, 3, 5, 6)
    place = {"B": 0, "T": 3, "C": 1, "H": 4, "W": 2}
    assert frames[0, 3, 1, 4, 2] == clip[tuple(place[axis] for axis in layout)]
    back = from_canonical(frames, layout)
    assert torch.equal(back, clip)
    assert back.data_ptr() == clip.data_ptr()


@pytest.mark.parametrize("layout", ["", "B", "CHW", "BTCH", "BBTCHW", "btchw", "TBCHW", "BTCHX", 5])
def test_an_unknown_layout_is_refused_with_examples(layout):
    with pytest.raises(InputError, match=r"layout .* expected .* 'BTCHW', 'BCTHW'"):
        to_canonical(torch.zeros(1, 2, 3, 4, 4), layout)


@pytest.mark.parametrize(
    ("clip", "says"),
    [
        (torch.zeros(2, 3, 4, 4), r"shape \(2, 3, 4, 4\), rank 4; layout BTCHW needs rank 5"),
        (torch.zeros(1, 2, 4, 4, 4), r"4 channels on axis 2 .* needs 3 \(red, green, blue\)"),
        (torch.zeros(1, 3, 2, 4, 4), "2 channels on axis 2"),
        (torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8), r"torch.uint8; .* divide 8-bit"),
        (torch.zeros(0, 2, 3, 4, 4), "nothing along B"),
        (torch.zeros(1, 2, 3, 4, 0), "nothing along W"),
        (np.zeros((1, 2, 3, 4, 4)), "ndarray; expected a torch.Tensor"),
    ],
)
def test_a_clip_that_does_not_fit_is_refused_in_one_sentence(clip, says):
    with pytest.raises(InputError, match=says) as caught:
        to_canonical(clip, "BTCHW")
    assert "\n" not in str(caught.value)
