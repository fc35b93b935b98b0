from collections import Counter
from pathlib import Path

import pytest

from kinema.datasets import (
    parse_ucf_crime,
    parse_ucf_crime_detection,
    ucf_crime,
    ucf_crime_anomalies,
)
from kinema.errors import InputError
from tests.datasets.conftest import touch


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "UCF_Crimes-Train-Test-Split/Action_Regnition_splits"
    folder.mkdir(parents=True)
    (folder / "ClassIDs.txt").write_text("Abuse 1 \nNormal_Videos_event 2 \n")
    (folder / "train_003.txt").write_text(
        "Abuse/Abuse013_x264.mp4 \nNormal_Videos_event/Normal_Videos_015_x264.mp4 "
    )
    return tmp_path


def test_the_official_folds_have_the_known_counts(annotations: Path) -> None:
    folder = annotations / "ucf_crime/Action_Regnition_splits"
    for fold in (1, 2, 3, 4):
        train = parse_ucf_crime(folder, fold=fold, subset="train")
        test = parse_ucf_crime(folder, fold=fold, subset="test")
        assert (len(train), len(test)) == (532, 168)
        assert set(train.counts().values()) == {38}
        assert set(test.counts().values()) == {12}
        assert not {c.name for c in train.clips} & {c.name for c in test.clips}
    assert len(train.classes) == 14
    assert train.classes[7] == "Normal_Videos_event"


def test_the_official_anomaly_lists_have_the_known_counts(annotations: Path) -> None:
    folder = annotations / "ucf_crime/Anomaly_Detection_splits"
    train = parse_ucf_crime_detection(folder / "Anomaly_Train.txt")
    test = parse_ucf_crime_detection(folder / "Anomaly_Test.txt")
    assert (len(train), len(test)) == (1610, 290)
    anomalies = ucf_crime_anomalies(folder / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
    assert len(anomalies) == 290
    assert Counter(bool(a.intervals) for a in anomalies) == {True: 140, False: 150}
    assert {a.kind for a in anomalies if not a.intervals} == {"Normal"}
    assert {a.video for a in anomalies} == {name.split("/")[-1] for name in test}
    known = {a.video: a for a in anomalies}
    assert known["Abuse028_x264.mp4"].intervals == ((165, 240),)
    assert known["Vandalism036_x264.mp4"].intervals == ((540, 780), (990, 1080))


def test_videos_are_found_in_the_parts_of_the_archive(root: Path) -> None:
    touch(
        root / "Anomaly-Videos-Part-1/Abuse/Abuse013_x264.mp4",
        root / "Normal_Videos_for_Event_Recognition/Normal_Videos_015_x264.mp4",
    )
    clips = ucf_crime(root, fold=3, subset="train", require="all")
    assert [(c.path.name, clips.classes[c.label]) for c in clips.clips] == [
        ("Abuse013_x264.mp4", "Abuse"),
        ("Normal_Videos_015_x264.mp4", "Normal_Videos_event"),
    ]


def test_bad_input_is_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of the 2 videos of UCF-Crime fold 3 train"):
        ucf_crime(root, fold=3, subset="train")
    with pytest.raises(InputError, match="fold is 5, expected one of 1, 2, 3, 4"):
        ucf_crime(root, fold=5, subset="train")
    with pytest.raises(InputError, match=r"train_001.txt does not exist"):
        ucf_crime(root, subset="train")
    folder = root / "UCF_Crimes-Train-Test-Split/Action_Regnition_splits"
    (folder / "train_001.txt").write_text("Arson/Arson001_x264.mp4 \n")
    with pytest.raises(InputError, match=r"of a class that is not in ClassIDs.txt"):
        ucf_crime(root, subset="train")
    times = tmp_path / "times.txt"
    for line, said in (
        ("A.mp4  Abuse  165  240  -1  ", "5 fields, expected 6"),
        ("A.mp4  Abuse  240  165  -1  -1  ", "expected frames first to last"),
        ("A.mp4  Abuse  x  165  -1  -1  ", "'x' where a whole number"),
    ):
        times.write_text(line)
        with pytest.raises(InputError, match=said):
            ucf_crime_anomalies(times)
