from pathlib import Path

import pytest

from kinema.datasets import hmdb51, parse_hmdb51
from kinema.errors import InputError
from tests.datasets.conftest import touch

# Enough to tell the orders apart: file names sort climb_stairs before climb.
CLASSES = sorted(["climb", "climb_stairs", "wave", *(f"zz{i:02d}" for i in range(48))])


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """Lists in the official form: a blank at the end of every line, odd names, all marks."""
    folder = tmp_path / "testTrainMulti_7030_splits"
    folder.mkdir()
    (folder / "class_list.txt").write_text("not a split\n")
    for name in CLASSES:
        for split in (1, 2, 3):
            lines = [f"{name}_{i}.avi {i % 3} " for i in range(6)]
            (folder / f"{name}_test_split{split}.txt").write_text("\n".join(lines) + "\n")
    odd = ["A_[1]_(x)!_;&-_wave_0.avi 1 ", "B#_wave_1.avi 2 "]
    (folder / "wave_test_split2.txt").write_bytes(("\r\n".join(odd)).encode())
    return folder


def test_the_official_lists_have_the_known_counts(annotations: Path) -> None:
    folder = annotations / "hmdb51_ucf101_splits/data/hmdb51_splits"
    for split in (1, 2, 3):
        train = parse_hmdb51(folder, split=split, subset="train")
        test = parse_hmdb51(folder, split=split, subset="test")
        assert (len(train), len(test)) == (3570, 1530)
        assert set(train.counts().values()) == {70}
        assert set(test.counts().values()) == {30}
        assert not {c.name for c in train.clips} & {c.name for c in test.clips}
    assert train.classes[0] == "brush_hair"
    assert train.classes[-1] == "wave"


def test_real_clips_are_found_through_the_official_lists(
    annotations: Path, released_clips: Path, tmp_path: Path
) -> None:
    folder = annotations / "hmdb51_ucf101_splits/data/hmdb51_splits"
    official = "Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi"
    # The test assets have all clips in one folder, and this one under a prefix.
    (tmp_path / "cartwheel").mkdir()
    (tmp_path / "cartwheel" / official).symlink_to(released_clips / f"hmdb51_{official}")
    for name in ("RATRACE_wave_f_nm_np1_fr_goo_37.avi", "TrumanShow_wave_f_nm_np1_fr_med_26.avi"):
        (tmp_path / name).symlink_to(released_clips / name)
    found = {}
    for subset in ("train", "test"):
        clips = hmdb51(tmp_path, annotations=folder, split=1, subset=subset)
        found |= {c.path.name: (subset, clips.classes[c.label]) for c in clips.clips}
        assert len(clips) + len(clips.missing) == {"train": 3570, "test": 1530}[subset]
    assert found["RATRACE_wave_f_nm_np1_fr_goo_37.avi"] == ("train", "wave")
    assert found["TrumanShow_wave_f_nm_np1_fr_med_26.avi"] == ("test", "wave")
    assert found[official][1] == "cartwheel"


def test_classes_are_in_the_order_of_their_names_not_of_their_files(splits: Path) -> None:
    classes = parse_hmdb51(splits, split=1, subset="train").classes
    assert classes == tuple(CLASSES)
    assert classes.index("climb") < classes.index("climb_stairs")


def test_marks_decide_and_odd_lines_are_read(splits: Path) -> None:
    train = parse_hmdb51(splits, split=1, subset="train")
    assert [c.name for c in train.clips[:2]] == ["climb/climb_1.avi", "climb/climb_4.avi"]
    test = parse_hmdb51(splits, split=1, subset="test")
    assert [c.name for c in test.clips[:2]] == ["climb/climb_2.avi", "climb/climb_5.avi"]
    odd = [
        c.name
        for subset in ("train", "test")
        for c in parse_hmdb51(splits, split=2, subset=subset).clips
        if c.name.startswith("wave/")
    ]
    assert odd == ["wave/A_[1]_(x)!_;&-_wave_0.avi", "wave/B#_wave_1.avi"]


def test_videos_with_brackets_are_found_below_the_default_annotations(splits: Path) -> None:
    root = splits.parent
    touch(root / "wave" / "A_[1]_(x)!_;&-_wave_0.avi", root / "zz00" / "zz00_1.avi")
    clips = hmdb51(root, split=2, subset="train")
    assert [c.path.name for c in clips.clips] == ["A_[1]_(x)!_;&-_wave_0.avi", "zz00_1.avi"]
    assert "zz00/zz00_4.avi" in clips.missing
    with pytest.raises(InputError, match=r"2 of the 101 videos .* missing is climb/climb_1.avi"):
        hmdb51(root, split=2, subset="train", require="all")


def test_bad_input_is_one_sentence(splits: Path, tmp_path: Path) -> None:
    root = splits.parent
    with pytest.raises(InputError, match=r"none of the 102 videos .*hmdb51_org\.rar"):
        hmdb51(root, subset="train")
    with pytest.raises(InputError, match="nowhere is not a folder"):
        hmdb51(root / "nowhere", subset="train")
    with pytest.raises(InputError, match="nowhere is not a folder, expected the videos"):
        hmdb51(root / "nowhere", annotations=splits, subset="train")
    with pytest.raises(InputError, match="nowhere is not a folder, expected the official"):
        hmdb51(root, annotations=root / "nowhere", subset="train")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no annotation files under .*test_train_splits\.rar"):
        hmdb51(empty, subset="train")
    with pytest.raises(InputError, match="split is 4, expected one of 1, 2, 3"):
        hmdb51(root, split=4, subset="train")
    with pytest.raises(InputError, match="subset is 'val'"):
        hmdb51(root, subset="val")  # type: ignore[arg-type]


def test_a_missing_or_damaged_split_file_is_named(splits: Path) -> None:
    file = splits / "wave_test_split1.txt"
    file.write_text("a.avi 3 \n")
    with pytest.raises(InputError, match=r"wave_test_split1.txt marks a.avi with '3'"):
        parse_hmdb51(splits, split=1, subset="train")
    file.write_text("a.avi\n")
    with pytest.raises(InputError, match=r"'a.avi' with 1 fields, expected 2"):
        parse_hmdb51(splits, split=1, subset="train")
    file.unlink()
    # Without it every label after it would shift.
    with pytest.raises(InputError, match="holds 50 files"):
        parse_hmdb51(splits, split=1, subset="train")
