from pathlib import Path

import pytest

from kinema.datasets import csv
from kinema.errors import InputError
from tests.datasets.conftest import touch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    touch(tmp_path / "a.mp4", tmp_path / "b c.mp4", tmp_path / "sub/d,e.mp4")
    return tmp_path


def write(root: Path, text: str) -> Path:
    path = root / "list.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        'a.mp4,0\nb c.mp4,1\n"sub/d,e.mp4",1\n',
        'path,label\r\na.mp4, 0\r\nb c.mp4, 1\r\n"sub/d,e.mp4", 1',
        "\ufeffvideo class\na.mp4 0 \nb c.mp4 1 \n\nsub/d,e.mp4 1\n",
        "\ufeffa.mp4 0\nb c.mp4 1\nsub/d,e.mp4 1\n",
        "a.mp4\t0\nb c.mp4\t1\nsub/d,e.mp4\t1",
    ],
)
def test_commas_blanks_and_headers_are_read(root: Path, text: str) -> None:
    clips = csv(write(root, text))
    assert [(c.path, c.label) for c in clips.clips] == [
        (root / "a.mp4", 0),
        (root / "b c.mp4", 1),
        (root / "sub/d,e.mp4", 1),
    ]
    assert clips.classes == ("0", "1")


def test_names_make_classes_in_alphabetical_order(root: Path) -> None:
    path = write(root, "a.mp4,wave\nb c.mp4,jump\n")
    clips = csv(path)
    assert (clips.classes, clips.labels) == (("jump", "wave"), (1, 0))
    clips = csv(path, classes=["run", "wave", "jump"])
    assert clips.labels == (1, 2)


def test_digits_that_are_names_of_given_classes_are_names(root: Path) -> None:
    """A test table may happen to hold those alone."""
    path = write(root, "a.mp4,1\nb c.mp4,2\n")
    assert csv(path, classes=["1", "2", "fist"]).labels == (0, 1)
    assert csv(path, classes=["wave", "run", "jump"]).labels == (1, 2)


def test_paths_are_relative_to_the_root_given(root: Path) -> None:
    assert csv(write(root, "d,e.mp4 0"), root / "sub").clips[0].path == root / "sub/d,e.mp4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "lists no videos"),
        ("path,label\n", "lists no videos"),
        ("a.mp4\n", "'a.mp4', expected a video and its label"),
        ("a.mp4,\n", "'a.mp4,', expected a video and its label"),
        ("a.mp4,-1\n", "has the label -1"),
        ("a.mp4,0\nb c.mp4,2\n", "class 1 has no clips"),
        ("a.mp4,0\nz.mp4,0\n", "lists z.mp4, which is not in"),
    ],
)
def test_bad_tables_are_refused(root: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        csv(write(root, text))


def test_labels_outside_given_classes_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="label 2, expected 0 to 1"):
        csv(write(root, "a.mp4,2"), classes=["run", "jump"])
    with pytest.raises(InputError, match="'wave', which is none of the classes run, jump"):
        csv(write(root, "a.mp4,wave"), classes=["run", "jump"])
    with pytest.raises(InputError, match="does not exist"):
        csv(root / "nowhere.csv")
