import pytest
import torch

from kinema.errors import InputError
from kinema.motion_prompt import moving_parts


@pytest.mark.parametrize("brightness", [(0.2, 0.8), (0.8, 0.2)], ids=["lighter", "darker"])
def test_what_moves_counts_and_what_rests_does_not(brightness):
    ground, thing = brightness
    clip = torch.full((4, 3, 16, 16), ground)
    for t in range(4):
        clip[t, :, 4:8, 3 * t : 3 * t + 3] = thing
    parts = moving_parts(clip)
    assert parts.shape == (3, 16, 16)
    for t in range(3):
        moved = torch.zeros(16, 16, dtype=torch.bool)
        moved[4:8, 3 * t : 3 * t + 6] = True
        assert parts[t][moved].min() > 0.9
        assert parts[t][~moved].max() == 0
    assert parts.max() <= 1


def test_a_clip_of_another_form_is_refused():
    with pytest.raises(InputError):
        moving_parts(torch.rand(4, 16, 16))
