"""The embedded pipelines, untrained: real classes, small, offline."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinema.sprites import animatediff, text_to_video
from tests.sprites.weights import write_untrained_weights

PIPELINES = {"text_to_video": text_to_video, "animatediff": animatediff}


@pytest.fixture(scope="session")
def untrained_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_untrained_weights(tmp_path_factory.mktemp("weights"))
    generator = torch.Generator().manual_seed(0)
    for part in ("unet3d", "motion_adapter"):
        # Temporal layers begin with zeros at their end, all or (a motion module's, but for its
        # clock) nearly all of them, behind which nothing can be learned.
        (file,) = (folder / part).glob("*.safetensors")
        weights = {
            name: tensor
            if tensor.any() and ".proj_out.weight" not in name
            else (0.2 * torch.randn(tensor.shape, generator=generator)).to(tensor)
            for name, tensor in load_file(file).items()
        }
        save_file(weights, file, metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def pipelines(untrained_weights: Path) -> dict[str, Any]:
    # Every test leaves them as they were, which the tests themselves check.
    return {name: make(weights=untrained_weights) for name, make in PIPELINES.items()}


@pytest.fixture(params=list(PIPELINES))
def pipe(request: pytest.FixtureRequest, pipelines: dict[str, Any]) -> Any:
    return pipelines[request.param]
