from pathlib import Path

import pytest

from kinema.datasets import parse_ucf101, ucf101
from kinema.errors import InputError
from tests.datasets.conftest import touch


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """Lists in the official form: CRLF, numbers from 1, no label in the test list."""
    folder = tmp_path / "ucfTrainTestlist"
    folder.mkdir()
    (folder / "classInd.txt").write_bytes(b"1 YoYo\r\n2 Archery\r\n")
    (folder / "trainlist01.txt").write_bytes(
        b"YoYo/v_YoYo_g01_c01.avi 1\r\nArchery/v_Archery_g01_c01.avi 2\r\n"
    )
    (folder / "testlist01.txt").write_bytes(b"Archery/v_Archery_g02_c01.avi\r\n\r\n")
    return folder


def test_the_official_lists_have_the_known_counts(annotations: Path) -> None:
    folder = annotations / "hmdb51_ucf101_splits/data/ucf101_splits"
    known = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    for split, (num_train, num_test) in known.items():
        train = parse_ucf101(folder, split=split, subset="train")
        test = parse_ucf101(folder, split=split, subset="test")
        assert (len(train), len(test)) == (num_train, num_test)
        assert len(train.classes) == 101
        assert min(train.counts().values()) > 0
    assert train.classes[0] == "ApplyEyeMakeup"
    assert train.classes[-1] == "YoYo"


def test_real_clips_are_found_through_the_official_lists(
    annotations: Path, released_clips: Path
) -> None:
    folder = annotations / "hmdb51_ucf101_splits/data/ucf101_splits"
    clips = ucf101(released_clips, annotations=folder, subset="train")
    assert [c.path.name for c in clips.clips] == [
        "v_SoccerJuggling_g23_c01.avi",
        "v_SoccerJuggling_g24_c01.avi",
    ]
    assert {clips.classes[label] for label in clips.labels} == {"SoccerJuggling"}
    assert len(clips.missing) == 9535
    with pytest.raises(InputError, match="none of the 3783 videos"):
        ucf101(released_clips, annotations=folder, subset="test")


def test_labels_follow_the_official_numbers(lists: Path) -> None:
    root = lists.parent
    touch(root / "UCF-101/YoYo/v_YoYo_g01_c01.avi", root / "Archery/v_Archery_g01_c01.avi")
    train = ucf101(root, subset="train", require="all")
    assert train.classes == ("YoYo", "Archery")
    assert [(c.path.name, c.label) for c in train.clips] == [
        ("v_YoYo_g01_c01.avi", 0),
        ("v_Archery_g01_c01.avi", 1),
    ]
    test = parse_ucf101(lists, split=1, subset="test")
    assert [(c.name, c.label) for c in test.clips] == [("Archery/v_Archery_g02_c01.avi", 1)]


def test_lists_that_do_not_belong_together_are_refused(lists: Path) -> None:
    with pytest.raises(InputError, match=r"trainlist02.txt does not exist.*UCF101TrainTestSplits"):
        parse_ucf101(lists, split=2, subset="train")
    (lists / "testlist01.txt").write_text("Juggling/a.avi\n")
    with pytest.raises(InputError, match=r"'Juggling/a.avi' of a class that is not in classInd"):
        parse_ucf101(lists, split=1, subset="test")
    (lists / "classInd.txt").write_text("1 YoYo\n3 Archery\n")
    with pytest.raises(InputError, match="from 1 on without a gap"):
        parse_ucf101(lists, split=1, subset="train")
    (lists / "classInd.txt").write_text("one YoYo\n")
    with pytest.raises(InputError, match="'one' where a whole number is expected"):
        parse_ucf101(lists, split=1, subset="train")
