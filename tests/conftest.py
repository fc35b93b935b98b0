"""Clips from the world, with known facts, for every test that wants them.

They lie outside the repository. Tests that use them skip where the folder is missing;
`KINEMA_REQUIRE_DATA=1` makes them fail instead.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class RealClip:
    """A clip and what is known about it; the name is its path inside the data folder."""

    name: str
    num_frames: int
    width: int
    height: int
    frames_per_second: float

    @property
    def path(self) -> Path:
        return DATA / self.name


# The four HMDB-51 clips (mpeg4 in AVI, packed B-frames) have one frame less than packets.
_CLIPS = (
    RealClip("torchvision_tests/R6llTwEh07w.mp4", 303, 340, 256, 30),
    RealClip("torchvision_tests/RATRACE_wave_f_nm_np1_fr_goo_37.avi", 72, 560, 240, 30),
    RealClip("torchvision_tests/SOX5yA1l24A.mp4", 332, 340, 256, 30000 / 1001),
    RealClip(
        "torchvision_tests/SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi", 74, 320, 240, 30
    ),
    RealClip("torchvision_tests/TrumanShow_wave_f_nm_np1_fr_med_26.avi", 48, 432, 240, 30),
    RealClip("torchvision_tests/WUzgd7C1pWA.mp4", 327, 340, 256, 30000 / 1001),
    RealClip(
        "torchvision_tests/hmdb51_Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi",
        83,
        320,
        240,
        30,
    ),
    RealClip("torchvision_tests/v_SoccerJuggling_g23_c01.avi", 240, 320, 240, 30000 / 1001),
    RealClip("torchvision_tests/v_SoccerJuggling_g24_c01.avi", 251, 320, 240, 30000 / 1001),
    RealClip("reference_clips/car-roundabout-24.mp4", 24, 864, 480, 8),
    RealClip("reference_clips/car-turn-24.mp4", 24, 576, 320, 10),
    RealClip("reference_clips/dog.mp4", 150, 256, 256, 30),
    RealClip("reference_clips/flipping_a_pancake.mkv", 310, 426, 240, 30),
    RealClip("reference_clips/wolf.mp4", 40, 512, 512, 20),
    RealClip("asl_signs/again.mkv", 77, 640, 480, 30),
    RealClip("asl_signs/bird.mkv", 63, 640, 480, 30),
    RealClip("asl_signs/book.mkv", 109, 640, 480, 30),
    RealClip("asl_signs/brother.mkv", 65, 640, 480, 30),
    RealClip("asl_signs/eat.mkv", 47, 640, 480, 30),
    RealClip("asl_signs/help.mkv", 58, 640, 480, 30),
    RealClip("asl_signs/hungry.mkv", 49, 640, 480, 30),
    RealClip("asl_signs/learn.mkv", 61, 640, 480, 30),
    RealClip("asl_signs/milk.mkv", 51, 640, 480, 30),
    RealClip("asl_signs/night.mkv", 68, 640, 480, 30),
    RealClip("asl_signs/no.mkv", 66, 640, 480, 30),
    RealClip("asl_signs/please.mkv", 73, 640, 480, 30),
    RealClip("asl_signs/school.mkv", 72, 640, 480, 30),
    RealClip("asl_signs/sister.mkv", 87, 640, 480, 30),
    RealClip("asl_signs/sorry.mkv", 73, 640, 480, 30),
    RealClip("asl_signs/student.mkv", 52, 640, 480, 30),
    RealClip("asl_signs/thanks.mkv", 51, 640, 480, 30),
    RealClip("asl_signs/walk.mkv", 89, 640, 480, 30),
    RealClip("asl_signs/want.mkv", 47, 640, 480, 30),
    RealClip("asl_signs/yes.mkv", 65, 640, 480, 30),
)


class RealClips:
    """All real clips, found by their path inside the data folder."""

    def __getitem__(self, name: str) -> RealClip:
        return next(clip for clip in _CLIPS if clip.name == name)

    def __iter__(self) -> Iterator[RealClip]:
        return iter(_CLIPS)


def _require_data() -> None:
    if all(clip.path.exists() for clip in _CLIPS):
        return
    if os.environ.get("KINEMA_REQUIRE_DATA") == "1":
        pytest.fail(f"KINEMA_REQUIRE_DATA=1, but real clips are missing under {DATA}")
    pytest.skip("the folder of real clips is missing")


@pytest.fixture(scope="session")
def real_clips() -> RealClips:
    """Every real clip: `real_clips["reference_clips/wolf.mp4"].path`."""
    _require_data()
    return RealClips()


@pytest.fixture(params=_CLIPS, ids=lambda clip: clip.name)
def real_clip(request: pytest.FixtureRequest) -> RealClip:
    """Each real clip in turn: the test runs once for every one of them."""
    _require_data()
    return request.param
