from pathlib import Path

import pytest

from kinema.datasets import ut_interaction
from kinema.errors import InputError
from tests.datasets.conftest import touch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Empty files named as the released clips: group 6 has no punch, group 8 two."""
    number = 0
    for group in range(1, 21):
        folder = tmp_path / ("segmented_set1" if group <= 10 else "segmented_set2")
        labels = [0, 1, 2, 3, 4, 5]
        labels += [4] if group == 8 else []
        for label in labels:
            if (group, label) != (6, 4):
                touch(folder / f"{number}_{group}_{label}.avi")
                number += 1
    return tmp_path


def groups(clips: object) -> set[int]:
    return {int(c.path.stem.split("_")[1]) for c in clips.clips}  # type: ignore[attr-defined]


def test_the_released_clips_are_all_found(interactions: Path) -> None:
    for fold in range(5):
        train = ut_interaction(interactions, held_out=fold, subset="train", require="all")
        test = ut_interaction(interactions, held_out=fold, subset="test", require="all")
        assert len(train) + len(test) == 120
        assert all(count >= 3 for count in test.counts().values())
    for site in ("set1", "set2"):
        clips = ut_interaction(interactions, across=site, subset="train", require="all")
        assert set(clips.counts().values()) == {10}


def test_folds_keep_groups_whole_and_cover_each_once(root: Path) -> None:
    for num_folds in (2, 5, 20):
        tested: list[int] = []
        for fold in range(num_folds):
            test = ut_interaction(root, held_out=fold, num_folds=num_folds, subset="test")
            train = ut_interaction(root, held_out=fold, num_folds=num_folds, subset="train")
            assert not groups(train) & groups(test)
            tested += groups(test)
        assert sorted(tested) == list(range(1, 21))
    assert groups(ut_interaction(root, held_out=1, subset="test")) == {2, 7, 12, 17}


def test_across_sites_trains_on_one_and_tests_on_the_other(root: Path) -> None:
    assert groups(ut_interaction(root, across="set1", subset="train")) == set(range(1, 11))
    assert groups(ut_interaction(root, across="set1", subset="test")) == set(range(11, 21))
    assert groups(ut_interaction(root, across="set2", subset="train")) == set(range(11, 21))


def test_the_last_number_of_the_name_is_the_class(root: Path) -> None:
    clips = ut_interaction(root, across="set1", subset="train")
    assert all(int(c.path.stem[-1]) == c.label for c in clips.clips)
    assert clips.classes[3] == "point"


def test_missing_clips_are_named(root: Path) -> None:
    next((root / "segmented_set2").glob("*_12_3.avi")).unlink()
    clips = ut_interaction(root, across="set1", subset="test")
    assert clips.missing == ("group 12, point",)
    with pytest.raises(InputError, match="missing is group 12, point"):
        ut_interaction(root, across="set1", subset="test", require="all")


def test_bad_input_is_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="either held_out"):
        ut_interaction(root, subset="train")
    with pytest.raises(InputError, match="either held_out"):
        ut_interaction(root, held_out=0, across="set1", subset="train")
    with pytest.raises(InputError, match="held_out is 5"):
        ut_interaction(root, held_out=5, subset="train")
    with pytest.raises(InputError, match="num_folds is 1, expected 2 to 20"):
        ut_interaction(root, held_out=0, num_folds=1, subset="train")
    with pytest.raises(InputError, match="across is 'set3'"):
        ut_interaction(root, across="set3", subset="train")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"none of the 60 videos .*cvrc\.ece\.utexas"):
        ut_interaction(root / "segmented_set1", across="set1", subset="train")
    with pytest.raises(InputError, match="is not a folder"):
        ut_interaction(root / "nowhere", across="set1", subset="train")
    touch(root / "segmented_set1/98_1_0.avi")
    with pytest.raises(InputError, match="clip 2 of class 0 in group 1, expected 1"):
        ut_interaction(root, across="set1", subset="train")
    (root / "segmented_set1/98_1_0.avi").unlink()
    touch(root / "segmented_set1/holiday.avi")
    with pytest.raises(InputError, match=r"holiday.avi is not named as a clip"):
        ut_interaction(root, across="set1", subset="train")


def test_hidden_files_are_no_clips(root: Path) -> None:
    touch(root / "segmented_set1" / "._0_1_0.avi")
    assert len(ut_interaction(root, across="set1", subset="train")) == 60
