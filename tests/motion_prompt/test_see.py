"""Seeing every real clip."""

from pathlib import Path

from kinema.motion_prompt.see import see
from tests.conftest import RealClip


def test_every_real_clip_can_be_seen(real_clip: RealClip, tmp_path: Path) -> None:
    sight = see(real_clip.path, tmp_path, num_frames=4, stride=4, size=96)
    assert len(sight.report["frames_seen"]) == 4
    assert min(sight.report["height"], sight.report["width"]) == 96
    assert 0 < sight.report["mean_absolute_difference"] < 0.3
    assert 0.3 < sight.report["attention_mean"] < 0.7
    assert sight.overlay.exists()
    assert sight.sheet.exists()
