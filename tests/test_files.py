"""Output files that are there whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kinema.errors import InputError
from kinema.files import filling, output_folder, replacing, save_tensors


def test_a_file_takes_its_place_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "report.json"
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".json"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o044


def test_an_error_leaves_the_older_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("older")
    with pytest.raises(RuntimeError), replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "older"
    assert list(tmp_path.iterdir()) == [target]


def test_tensors_for_which_there_is_no_room_are_one_sentence(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    target = tmp_path / "weights.safetensors"
    save_tensors(target, {"a": torch.zeros(2, 3).T}, {"of": "before"})
    program = (
        "import resource, sys, torch; from kinema.files import save_tensors\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))\n"
        "save_tensors(sys.argv[1], {'a': torch.zeros(10_000)})\n"
    )
    assert resource.RLIMIT_FSIZE
    result = subprocess.run(
        [sys.executable, "-c", program, str(target)], capture_output=True, text=True, check=False
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"kinema.errors.InputError: cannot write {target}"), result.stderr
    assert "make room" in last
    assert load_file(target)["a"].shape == (3, 2)
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_filled_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with filling(target) as temporary:
        (temporary / "one.txt").write_text("1")
        assert not (target / "one.txt").exists()
    assert [file.name for file in target.iterdir()] == ["one.txt"]


def test_an_error_leaves_no_folder_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), filling(tmp_path / "a" / "b") as temporary:
        (temporary / "one.txt").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.txt").write_text("mine")
    with pytest.raises(RuntimeError), filling(tmp_path / "a") as temporary:
        (temporary / "mine.txt").write_text("other")
        raise RuntimeError
    assert (tmp_path / "a" / "mine.txt").read_text() == "mine"
    assert len(list((tmp_path / "a").iterdir())) == 1


def test_files_of_before_stay_together_where_a_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "b.txt").mkdir()
    with (
        pytest.raises(InputError, match=r"b.txt is a folder and a file is to go there"),
        filling(tmp_path) as temporary,
    ):
        for name in ("a.txt", "b.txt"):
            (temporary / name).write_text("after")
    assert (tmp_path / "a.txt").read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "b.txt"]


def test_a_file_has_the_permissions_that_others_get_and_as_long_a_name_as_may_be(
    tmp_path: Path,
) -> None:
    target = tmp_path / ("n" * 251 + ".txt")
    before = os.umask(0o027)
    try:
        with replacing(target) as temporary:
            temporary.write_text("1")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="not a folder"):
            output_folder(path)
