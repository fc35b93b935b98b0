"""A plan is checked as it is made, and clips get names of their own."""

from pathlib import Path

import pytest

from kinema.compare import Plan, clip_references, open_prompts, travelling_references
from kinema.errors import InputError


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_steps": 0}, "num_steps is 0; give 1 or more"),
        ({"guidance": float("nan")}, "guidance is nan; give a finite number"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Plan(travelling_references(1), open_prompts(1), **changes)


def test_clips_of_one_name_are_told_apart(tmp_path: Path) -> None:
    files = [tmp_path / folder / "x.mp4" for folder in "abc"] + [tmp_path / "a" / "x-2.mp4"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    references = clip_references([(file, "a star") for file in files])
    assert [reference.name for reference in references] == ["x", "x-2", "x-3", "x-2-2"]
    assert [reference.video for reference in references] == files
    # Other words make another reference of the same clip.
    assert len(clip_references([(files[0], "a star"), (files[0], "a ring")])) == 2
    with pytest.raises(InputError, match="given twice with the same words"):
        clip_references([(files[0], "a star"), (files[0], "a star")])
