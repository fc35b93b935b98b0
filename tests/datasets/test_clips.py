from dataclasses import replace
from pathlib import Path

import pytest

from kinema.datasets import Clip, ClipList
from kinema.datasets.clips import on_disk
from kinema.errors import InputError


def clip(label: int, name: str = "a") -> Clip:
    return Clip(Path(f"{name}.mp4"), label, name)


def test_counts_and_labels_follow_the_clips() -> None:
    clips = ClipList("d", ("run", "jump", "wave"), (clip(2), clip(0), clip(2)))
    assert len(clips) == 3
    assert clips.labels == (2, 0, 2)
    assert clips.counts() == {"run": 1, "jump": 0, "wave": 2}


def test_a_subset_keeps_the_classes_and_the_order_asked_for() -> None:
    clips = ClipList("d", ("run", "jump"), (clip(0, "a"), clip(1, "b"), clip(0, "c")), ("lost",))
    part = clips.subset([2, 1])
    assert [c.name for c in part.clips] == ["c", "b"]
    assert (part.classes, part.missing) == (clips.classes, ("lost",))


def test_classes_that_have_lost_all_their_clips_are_told(tmp_path: Path) -> None:
    official = ClipList("d", ("run", "jump", "wave"), (clip(0, "a"), clip(0, "b"), clip(1, "c")))
    (tmp_path / "a.mp4").touch()

    def there(each: Clip) -> list[Clip]:
        return [replace(each, path=tmp_path / each.path)]

    found = on_disk(official, there, root=tmp_path, require="some", source="its site")
    assert found.missing == ("b", "c")
    assert found.emptied == (1,)  # and not 2, which the official list has no clips of


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_out_of_range_is_refused_by_name(label: int) -> None:
    with pytest.raises(InputError, match=rf"clip bad has the label {label}, expected 0 to 1"):
        ClipList("d", ("run", "jump"), (clip(0), clip(label, "bad")))


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="'run' twice"):
        ClipList("d", ("run", "jump", "run"), ())
