"""CoTracker's code and weights may not be shipped, so a stand-in keeps its contract here."""

import sys
from types import ModuleType

import pytest
import torch

from kinema.errors import InputError
from kinema.measure import CoTracker
from kinema.measure.tracks import from_pixels


class Predictor(torch.nn.Module):
    """Takes (1, T, 3, H, W) in [0, 255]; gives (1, T, N, 2) in pixels and (1, T, N)."""

    def __init__(self, checkpoint=None, *, offline=True, window_len=60, sees=True) -> None:
        super().__init__()
        self.checkpoint, self.sees = checkpoint, sees

    def forward(self, video, *, grid_size):
        self.given = video
        num_frames, num_points = video.shape[1], grid_size**2
        frame = torch.arange(num_frames)[None, :, None, None]
        point = torch.arange(num_points)[None, None, :, None]
        tracks = torch.cat((frame + 0 * point, point + 0 * frame), dim=-1).float()
        return tracks, torch.full((1, num_frames, num_points), self.sees)


def test_a_predictor_is_asked_in_its_units_and_answers_in_ours():
    predictor = Predictor()
    video = torch.rand(5, 3, 16, 24)
    tracks = CoTracker(predictor=predictor, grid_size=3)(video)
    assert torch.allclose(predictor.given, 255 * video[None])
    assert tracks.position.shape == (9, 5, 2)
    assert tracks.visible.all()
    pixel = torch.tensor([4.0, 7.0])
    assert torch.allclose(tracks.position[7, 4], from_pixels(pixel, height=16, width=24))


def test_a_clip_in_which_it_sees_nothing_is_named():
    with pytest.raises(InputError, match=r"no tracks found in fog.mp4"):
        CoTracker(predictor=Predictor(sees=False))(torch.rand(5, 3, 16, 24), clip="fog.mp4")
    with pytest.raises(InputError, match="grid_size is 0"):
        CoTracker(predictor=Predictor(), grid_size=0)


def test_it_comes_from_the_hub_or_says_why_not(monkeypatch):
    asked = []

    def load(repository, model, *, trust_repo):
        asked.append((repository, model, trust_repo))
        return Predictor()

    monkeypatch.setattr(torch.hub, "load", load)
    CoTracker(grid_size=2)(torch.rand(3, 3, 16, 16))
    assert asked == [("facebookresearch/co-tracker", "cotracker3_offline", True)]

    def fail(*args, **options):
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(torch.hub, "load", fail)
    with pytest.raises(InputError, match=r"torch.hub \(no route to host\); install the cotracker"):
        CoTracker()


def broken(**_):
    raise RuntimeError("bad magic\nat 0")


def test_a_checkpoint_goes_into_the_package(monkeypatch, tmp_path):
    with pytest.raises(InputError, match=r"offline.pth does not exist.*CC-BY-NC"):
        CoTracker(checkpoint=tmp_path / "offline.pth")
    weights = tmp_path / "scaled_offline.pth"
    weights.touch()
    monkeypatch.setitem(sys.modules, "cotracker", None)
    with pytest.raises(InputError, match=r"not installed; install it.*CC-BY-NC"):
        CoTracker(checkpoint=weights)
    package, module = ModuleType("cotracker"), ModuleType("cotracker.predictor")
    module.CoTrackerPredictor = Predictor
    monkeypatch.setitem(sys.modules, "cotracker", package)
    monkeypatch.setitem(sys.modules, "cotracker.predictor", module)
    with monkeypatch.context() as other:
        other.setattr(module, "CoTrackerPredictor", broken)
        with pytest.raises(InputError, match=r"CoTracker 3's weights \(bad magic\); give scaled_"):
            CoTracker(checkpoint=weights)
    tracker = CoTracker(checkpoint=str(weights), grid_size=2)
    assert tracker(torch.rand(3, 3, 16, 16)).position.shape == (4, 3, 2)


def test_it_is_known_by_its_grid_and_its_weights():
    def identity(value, grid_size=2):
        predictor = Predictor()
        predictor.register_buffer("weight", torch.full((3,), value))
        return CoTracker(predictor=predictor, grid_size=grid_size).identity()

    assert identity(1.0) == identity(1.0)
    assert identity(1.0) != identity(2.0)
    assert identity(1.0) != identity(1.0, grid_size=3)
    assert identity(1.0)["name"] == "CoTracker"
