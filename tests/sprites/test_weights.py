"""The weights that come with Kinema."""

from importlib.resources import files
from pathlib import Path

import torch

from kinema.measure.obedience import rebuild
from kinema.sprites import animatediff, made_with, render, sample_scenes, text_to_video
from kinema.sprites.pipelines import PARTS
from kinema.sprites.training import STAGES

WEIGHTS = Path(str(files("kinema.sprites") / "weights"))


def test_they_are_all_there_and_at_most_32_megabytes() -> None:
    assert {path.name for path in WEIGHTS.iterdir() if path.is_dir()} == set(PARTS)
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= 32e6


def test_they_say_what_made_them() -> None:
    made = made_with()
    assert len(made["commit"]) == 40
    assert set(made["stages"]) == set(STAGES)
    for name, stage in made["stages"].items():
        assert stage["recipe"]["stage"] == name
        assert "seed" in stage["recipe"]
        assert stage["steps"] == stage["recipe"]["num_steps"]
        assert stage["seconds"] > 0


def test_the_autoencoder_keeps_sprites() -> None:
    video = render(sample_scenes(12, seed=31), num_frames=2).video
    rebuilt = rebuild(text_to_video().vae, video)
    error = (video - rebuilt).square().flatten(2).mean(dim=2)
    assert (-10 * error.log10()).mean() > 32


def test_both_pipelines_share_text_encoder_and_autoencoder() -> None:
    first, second = text_to_video(), animatediff()
    for part in ("vae", "text_encoder"):
        ours, theirs = getattr(first, part).state_dict(), getattr(second, part).state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
