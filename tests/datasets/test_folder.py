from pathlib import Path

import pytest

from kinema.datasets import folder
from kinema.errors import InputError
from tests.datasets.conftest import touch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    touch(
        tmp_path / "wave/clip10.mp4",
        tmp_path / "wave/clip2.mp4",
        tmp_path / "wave/notes.txt",
        tmp_path / "jump/deeper/a [1].AVI",
        tmp_path / ".cache/b.mp4",
        tmp_path / "stray.mp4",
    )
    return tmp_path


def test_subfolders_are_classes_in_alphabetical_order(root: Path) -> None:
    clips = folder(root)
    assert clips.classes == ("jump", "wave")
    assert [(c.name, c.label) for c in clips.clips] == [
        ("jump/deeper/a [1].AVI", 0),
        ("wave/clip2.mp4", 1),
        ("wave/clip10.mp4", 1),
    ]


def test_classes_may_be_given_in_another_order(root: Path) -> None:
    assert folder(root, classes=["wave", "jump"]).labels == (0, 0, 1)


def test_bad_input_is_one_sentence(root: Path) -> None:
    with pytest.raises(InputError, match="'jump', which is none of the classes wave"):
        folder(root, classes=["wave"])
    with pytest.raises(InputError, match="no folder for the class 'run'"):
        folder(root, classes=["wave", "jump", "run"])
    with pytest.raises(InputError, match="nowhere is not a folder"):
        folder(root / "nowhere")
    with pytest.raises(InputError, match="no subfolders"):
        folder(root / "wave")
    (root / "run").mkdir()
    with pytest.raises(InputError, match="class 'run' has no clips"):
        folder(root)
