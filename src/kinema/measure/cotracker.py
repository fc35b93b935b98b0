"""CoTracker as a tracker, where the user has it.

Kinema ships neither its code nor its weights: both are CC-BY-NC 4.0, not for commercial use.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinema.errors import InputError, first_line
from kinema.measure.tracks import Tracks, check_found, check_video, from_pixels
from kinema.weights import digest_of_weights

REPOSITORY = "facebookresearch/co-tracker"
LICENCE = "CC-BY-NC 4.0"
"""Of CoTracker's code and weights: they may not be used commercially."""


class CoTracker:
    """Follows a grid of points of the first frame by CoTracker (Karaev et al., arXiv 2410.11831).

    Attributes:
        grid_size: points along each side; 55 is what DMT's motion fidelity takes.
    """

    def __init__(
        self,
        *,
        checkpoint: str | Path | None = None,
        model: str = "cotracker3_offline",
        grid_size: int = 55,
        device: str | torch.device = "cpu",
        predictor: Any = None,
    ) -> None:
        """Load CoTracker.

        Args:
            checkpoint: weights of CoTracker 3, offline, for the `cotracker` package that is
                installed; None loads `model` by `torch.hub`, which downloads code of
                facebookresearch/co-tracker and runs it.
            model: name of an offline model in that repository.
            grid_size: 1 or more.
            device: where it runs.
            predictor: a `CoTrackerPredictor` already loaded, taken as it is.

        Raises:
            InputError: `grid_size` is below 1, or CoTracker cannot be loaded.
        """
        if grid_size < 1:
            raise InputError(f"grid_size is {grid_size}; give the points along a side, 1 or more")
        self.grid_size = grid_size
        self._device = torch.device(device)
        if predictor is None:
            predictor = _from_hub(model) if checkpoint is None else _from_package(Path(checkpoint))
        self._predictor = predictor.to(self._device).eval()

    def identity(self) -> dict[str, Any]:
        """Return its name, its grid and a digest of its weights."""
        return {
            "name": type(self).__name__,
            "grid_size": self.grid_size,
            "weights": digest_of_weights({"predictor": self._predictor}),
        }

    @torch.no_grad()
    def __call__(self, video: Tensor, *, clip: str = "the video") -> Tracks:
        """Return the tracks of a video (T, 3, H, W) in [0, 1], one for each point of the grid.

        Raises:
            InputError: the video is not of that form, or CoTracker sees no point in half of the
                frames; `clip` names it.
        """
        check_video(video, clip=clip)
        height, width = video.shape[2:]
        scaled = 255 * video.detach().float().clamp(0, 1)[None].to(self._device)
        pixels, visible = self._predictor(scaled, grid_size=self.grid_size)
        # CoTracker has (1, T, N, 2) and (1, T, N).
        position = from_pixels(pixels[0].transpose(0, 1).float().cpu(), height=height, width=width)
        seen = visible[0].reshape(visible.shape[1:3]).transpose(0, 1).bool().cpu()
        return check_found(Tracks(position, seen), clip=clip)


def _from_hub(model: str) -> Any:
    try:
        return torch.hub.load(REPOSITORY, model, trust_repo=True)
    # No network, no such model and a package that its code misses each fail in ways of their own.
    except Exception as error:
        raise InputError(
            f"CoTracker's {model} could not be loaded by torch.hub ({first_line(error)}); install "
            f"the cotracker package and give a checkpoint, or use LucasKanade"
        ) from error


def _from_package(checkpoint: Path) -> Any:
    if not checkpoint.is_file():
        raise InputError(
            f"{checkpoint} does not exist; give CoTracker 3's scaled_offline.pth "
            f"({LICENCE}, from huggingface.co/facebook/cotracker3)"
        )
    try:
        from cotracker.predictor import CoTrackerPredictor
    except ImportError as error:
        raise InputError(
            f"CoTracker is not installed; install it from github.com/{REPOSITORY} ({LICENCE}), or "
            "use LucasKanade"
        ) from error
    try:
        return CoTrackerPredictor(checkpoint=str(checkpoint), offline=True, window_len=60)
    # Another file fails as torch reads it, another CoTracker's as its weights are given out.
    except Exception as error:
        raise InputError(
            f"{checkpoint} could not be loaded as CoTracker 3's weights ({first_line(error)}); "
            f"give scaled_offline.pth ({LICENCE}, from huggingface.co/facebook/cotracker3)"
        ) from error
