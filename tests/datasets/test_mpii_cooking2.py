import sys
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest

from kinema.datasets import mpii_cooking2, parse_mpii_cooking2
from kinema.datasets.mpii_cooking2 import FRAMES_PER_SECOND
from kinema.errors import InputError
from kinema.video.packets import PacketTable
from tests.datasets.conftest import touch

ROWS = (
    ("s07-d72-cam-002", "enterV", 194, 243),
    ("s07-d72-cam-002", "cutV", 250, 250),
    ("s08-d02-cam-002", "unseenV", 1, 40),
    ("s08-d02-cam-002", "addV", 41, 90),
    ("s09-d01-cam-002", "cutV", 7, 9),
)
# "knife" is an attribute that is no activity, "unseenV" an activity that is no attribute.
ATTRIBUTES = ("knife", "enterV", "cutV", "addV")


def write_mat(path: Path) -> None:
    """A MATLAB 7.3 file of the official form: cells are references to UTF-16 code units."""
    with h5py.File(path, "w") as file:
        annos = file.create_group("annos")
        references = file.create_group("#refs#")

        def cell(name: str, strings: tuple[str, ...]) -> None:
            column = annos.create_dataset(name, (len(strings), 1), dtype=h5py.ref_dtype)
            for row, text in enumerate(strings):
                units = np.array([[ord(letter)] for letter in text], dtype=np.uint16)
                column[row, 0] = references.create_dataset(f"{name}{row}", data=units).ref

        cell("fileName", tuple(row[0] for row in ROWS))
        cell("activity", tuple(row[1] for row in ROWS))
        cell("attributeMap", ATTRIBUTES)
        annos["startFrame"] = np.array([[row[2]] for row in ROWS], dtype=np.float64)
        annos["endFrame"] = np.array([[row[3]] for row in ROWS], dtype=np.float64)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_mat(tmp_path / "attributesAnnotations_MPII-Cooking-2.mat")
    lists = tmp_path / "experimentalSetup"
    lists.mkdir()
    (lists / "sequencesTrainAttr.txt").write_bytes(b"s08-d02 \r\ns07-d72")
    (lists / "sequencesVal.txt").write_text("s09-d01\n")
    (lists / "sequencesTest.txt").write_text("s10-d10\n")
    return tmp_path


def test_classes_are_the_activities_among_the_attributes(root: Path) -> None:
    assert parse_mpii_cooking2(root, subset="val").classes == ("addV", "cutV", "enterV")


def test_clips_follow_the_sequences_and_leave_other_activities_out(root: Path) -> None:
    train = parse_mpii_cooking2(root, subset="train")
    assert [(c.name, train.classes[c.label]) for c in train.clips] == [
        ("s08-d02-cam-002_41_90", "addV"),
        ("s07-d72-cam-002_194_243", "enterV"),
        ("s07-d72-cam-002_250_250", "cutV"),
    ]


def test_frames_count_from_one_and_the_last_belongs_to_the_clip(root: Path) -> None:
    _, enter, cut = parse_mpii_cooking2(root, subset="train").clips
    video = PacketTable(10_000, None, [], [], Fraction(1), FRAMES_PER_SECOND)
    assert video.between(10_000, enter.start, enter.end) == range(193, 243)
    assert video.between(10_000, cut.start, cut.end) == range(249, 250)


def test_videos_are_found_here_or_in_videos(root: Path) -> None:
    touch(root / "videos/s07-d72-cam-002.avi")
    clips = mpii_cooking2(root, subset="train")
    assert [c.path for c in clips.clips] == [root / "videos/s07-d72-cam-002.avi"] * 2
    assert clips.missing == ("s08-d02-cam-002_41_90",)
    touch(root / "s08-d02-cam-002.avi")
    assert len(mpii_cooking2(root, subset="train", require="all")) == 3


def test_h5py_is_asked_for_where_it_is_missing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"needs h5py; install kinema\[recognition\]"):
        mpii_cooking2(root, subset="train")


def test_bad_input_is_one_sentence(root: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 3 videos of MPII Cooking 2 train"):
        mpii_cooking2(root, subset="train")
    with pytest.raises(InputError, match=r"sequence 's10-d10', of which .*\.mat has no activity"):
        mpii_cooking2(root, subset="test")
    mat = root / "attributesAnnotations_MPII-Cooking-2.mat"
    (root / "experimentalSetup/sequencesVal.txt").unlink()
    with pytest.raises(InputError, match=r"sequencesVal.txt does not exist"):
        mpii_cooking2(root, subset="val")
    with h5py.File(mat, "a") as file:
        del file["annos/endFrame"]
    with pytest.raises(InputError, match="not the annotation file of MPII Cooking 2"):
        mpii_cooking2(root, subset="train")
    mat.write_bytes(b"MATLAB 5.0 MAT-file, not HDF5")
    with pytest.raises(InputError, match="not the annotation file of MPII Cooking 2"):
        mpii_cooking2(root, subset="train")
    mat.unlink()
    with pytest.raises(InputError, match=r"\.mat does not exist.*MPII-Cooking-2/annos/"):
        mpii_cooking2(root, subset="train")
