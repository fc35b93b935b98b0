"""Seeing every real clip."""

from pathlib import Path

import torch

from kinema.motion_prompt import LearnableSigmoid, MotionPrompt
from kinema.motion_prompt.see import see
from kinema.sprites import render, sample_scenes
from kinema.video import write_video
from tests.conftest import RealClip


def test_every_real_clip_can_be_seen(real_clip: RealClip, tmp_path: Path) -> None:
    sight = see(real_clip.path, tmp_path, num_frames=4, stride=4, size=96)
    assert len(sight.report["frames_seen"]) == 4
    assert min(sight.report["height"], sight.report["width"]) == 96
    assert 0 < sight.report["mean_absolute_difference"] < 0.3
    assert 0.3 < sight.report["attention_mean"] < 0.7
    assert sight.overlay.exists()
    assert sight.sheet.exists()


def test_a_prompt_in_half_precision_sees_as_it_does_in_float32_and_stays_what_it_is(
    tmp_path: Path,
) -> None:
    write_video(
        tmp_path / "a.mp4",
        render(sample_scenes(1, seed=3, motions=["right"]), num_frames=6).video[0],
        frames_per_second=8,
    )
    taken_as = []

    class Watched(LearnableSigmoid):
        def forward(self, difference: torch.Tensor) -> torch.Tensor:
            taken_as.append((self.m.dtype, self.m.device.type))
            return super().forward(difference)

    # m and n that float16 keeps exactly.
    prompts = [MotionPrompt(normalisation=Watched(0.5, 0.125)) for _ in range(2)]
    prompts[1].half()
    means = [
        see(tmp_path / "a.mp4", tmp_path / str(k), prompt=prompt).report["attention_mean"]
        for k, prompt in enumerate(prompts)
    ]
    assert means[0] == means[1]
    # Brought to where the frames are, as one on a GPU is.
    assert set(taken_as) == {(torch.float32, "cpu")}
    assert prompts[1].normalisation.m.dtype == torch.float16
