import json
from pathlib import Path
from typing import Any

import pytest

from kinema.datasets import finegym, parse_finegym, parse_finegym_times
from kinema.errors import InputError
from tests.datasets.conftest import touch

# Identifiers hold underscores and hyphens; the second element begins and ends in one second.
FLOOR = "_b-D_fGhi_k_E_000100_000150_A_0003_0004"
VAULT = "_b-D_fGhi_k_E_000200_000209_A_0000_0000"


def info() -> dict[str, Any]:
    return {
        "_b-D_fGhi_k": {
            "E_000100_000150": {
                "event": 2,
                "timestamps": [[100.04, 150.0]],
                "segments": {"A_0003_0004": {"stages": 1, "timestamps": [[3.5, 4.75]]}},
            },
            "E_000160_000170": {"event": 3, "timestamps": [[160.0, 170.0]], "segments": None},
            "E_000200_000209": {
                "event": 1,
                "timestamps": [[200.5, 209.0]],
                "segments": {
                    "A_0000_0000": {
                        "stages": 3,
                        "timestamps": [[0.25, 0.5], [0.5, 0.7], [0.7, 0.9]],
                    }
                },
            },
        }
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "set_categories.txt").write_text("set: 1; vault\nset: 44; UB_dismounts\n")
    (folder / "gym99_categories.txt").write_text(
        "\n".join(
            f"Clabel: {i:3d}; set: {1 if i < 9 else 44:2d}; Glabel: {i:3d}; (VT) salto {i % 50}"
            + (" tucked" if i < 50 else "")
            for i in range(99)
        )
    )
    # No line end after the last line.
    (folder / "gym99_train_element_v1.1.txt").write_text(f"{FLOOR} 93\n{VAULT} 4")
    (folder / "finegym_annotation_info_v1.1.json").write_text(json.dumps(info()))
    return tmp_path


def test_the_official_lists_have_the_known_counts(annotations: Path) -> None:
    folder = annotations / "finegym"
    counts = {
        (classes, version, subset): len(
            parse_finegym(folder, classes=classes, version=version, subset=subset)
        )
        for classes in (99, 288)
        for version in ("1.0", "1.1")
        for subset in ("train", "val")
    }
    assert counts[99, "1.1", "train"] == 26320
    assert counts[99, "1.0", "train"] == 20484
    assert counts[99, "1.1", "val"] == 8521
    assert counts[288, "1.0", "train"] == 22671
    assert counts[288, "1.0", "val"] == 9646


def test_official_classes_are_named_apart(annotations: Path) -> None:
    # Several elements have the same words in two sets.
    for classes in (99, 288):
        gym = parse_finegym(annotations / "finegym", classes=classes, subset="val")
        assert len(set(gym.classes)) == classes
    assert gym.classes[0].startswith("vault: round-off")


def test_identifiers_with_underscores_stay_whole(root: Path) -> None:
    train = parse_finegym(root / "annotations", subset="train")
    assert [(c.name, c.label) for c in train.clips] == [(FLOOR, 93), (VAULT, 4)]


def test_times_count_from_the_event_and_span_the_stages_of_a_vault(root: Path) -> None:
    times = parse_finegym_times(root / "annotations/finegym_annotation_info_v1.1.json")
    assert set(times) == {FLOOR, VAULT}
    assert times[FLOOR] == pytest.approx((103.54, 104.79))
    assert times[VAULT] == pytest.approx((200.75, 201.4))


def test_cut_clips_come_before_broadcasts(root: Path) -> None:
    touch(root / "_b-D_fGhi_k.mkv", root / f"{FLOOR}.mp4")
    floor, vault = finegym(root, subset="train", require="all").clips
    assert floor.path.name == f"{FLOOR}.mp4"
    assert (floor.start, floor.end) == (None, None)
    assert vault.path.name == "_b-D_fGhi_k.mkv"
    assert (vault.start, vault.end) == pytest.approx((200.75, 201.4))


def test_a_broadcast_without_times_is_refused(root: Path) -> None:
    touch(root / "_b-D_fGhi_k.mp4")
    path = root / "annotations/finegym_annotation_info_v1.1.json"
    facts = info()
    facts["_b-D_fGhi_k"]["E_000200_000209"]["segments"] = None
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match=f"no times for the element {VAULT}"):
        finegym(root, subset="train")
    path.unlink()
    with pytest.raises(InputError, match=r"info_v1.1.json with the times .* does not exist"):
        finegym(root, subset="train")


@pytest.mark.parametrize("text", ["{", '{"a": 3}', '{"a": {"E": {"timestamps": []}}}', "[1]"])
def test_a_json_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "info.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not an annotation file of FineGym"):
        parse_finegym_times(path)


def test_bad_input_is_one_sentence(root: Path) -> None:
    folder = root / "annotations"
    with pytest.raises(InputError, match=r"none of the 2 videos of Gym99 v1.1 train.*sdolivia"):
        finegym(root, subset="train")
    with pytest.raises(InputError, match="classes is 100, expected one of 99, 288"):
        finegym(root, classes=100, subset="train")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"gym99_val_element.txt does not exist"):
        finegym(root, subset="val")
    with pytest.raises(InputError, match=r"gym288_train_element_v1.1.txt does not exist"):
        finegym(root, classes=288, subset="train")
    (folder / "gym99_val_element.txt").write_text("short_E_000100_000150_A_0003_0004 1\n")
    with pytest.raises(InputError, match="'short_E_000100_000150_A_0003_0004 1'"):
        finegym(root, subset="val")
    (folder / "gym99_val_element.txt").write_text(f"{FLOOR} 99\n")
    with pytest.raises(InputError, match="label 99, expected 0 to 98"):
        finegym(root, subset="val")
    (folder / "gym99_categories.txt").write_text("Clabel: 0; set: 1; Glabel: 0; (VT) salto\n")
    with pytest.raises(InputError, match="names 1 classes, expected 99"):
        finegym(root, subset="train")
    with pytest.raises(InputError, match=r"info.json does not exist"):
        parse_finegym_times(folder / "info.json")
