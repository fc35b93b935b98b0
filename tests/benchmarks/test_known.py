"""A study goes on from its tables where its folder is gone."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kinema.recognition import read_recipe

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"
RECIPE = replace(read_recipe("ut-interaction-x3d"), num_workers=0)


@pytest.fixture
def studies(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script of the studies by its name, as they import each other."""
    monkeypatch.syspath_prepend(STUDIES)
    return importlib.import_module


def cells_of(studies: Any, *, start: str = "", penalty: float = 1.0) -> list[Any]:
    recipe = replace(RECIPE, start=start, penalty=penalty)
    make = studies("cells").Cell
    cells = [
        make({"split": split, "seed": seed}, replace(recipe, seed=seed))
        for seed in (0, 1)
        for split in ("set1", "set2")
    ]
    return [*cells, make({"split": "start", "seed": 0}, recipe, keep=True)]


def finished(cells: list[Any], folder: Path) -> list[dict[str, Any]]:
    """Results of all cells, as runs leave them and studies read them."""
    results = []
    for number, cell in enumerate(cells):
        result = {
            **cell.of,
            "accuracy": number / 10,
            "num_test_clips": 50,
            "learned": {"prompt_m": 0.5 + number},
            "losses": [1.5, 0.25],
            "training_accuracy": [0.1234, 0.98765],
            "seconds": 7.0,
            "recipe": cell.recipe.as_dict(),
        }
        path = folder / cell.name / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(result))
        results.append(json.loads(path.read_text()))
    return results


def table_of(studies: Any, cells: list[Any], folder: Path) -> Path:
    tables, results = studies("tables"), finished(cells, folder)
    made = tables.table(results[:4], rows=("split",), over=())
    tables.write(folder / "table.json", made, results)
    return folder / "table.json"


def test_a_table_makes_the_same_table_again(studies: Any, tmp_path: Path) -> None:
    cells = cells_of(studies)
    table = table_of(studies, cells, tmp_path / "before")
    arguments = SimpleNamespace(
        folder=tmp_path / "after", share="1/1", threads=1, device="cpu", drawn=False, known=[table]
    )
    # None of the four is trained: there is no data to train on.
    results = studies("study").run_study(cells[:4], arguments, data=None, starts=cells[4:])
    made = studies("tables").table(results, rows=("split",), over=())
    before = json.loads(table.read_text())
    assert made == before["rows"]
    assert [row["num_runs"] for row in made] == [2, 2]
    assert [row["accuracy"] for row in made] == pytest.approx([0.1, 0.2])
    assert before["runs"][0]["training_accuracy"] == [0.12, 0.99]
    assert "losses" not in before["runs"][0]


def test_a_start_that_is_a_cell_too_is_run_once(
    studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        studies("side_by_side"), "run_side_by_side", lambda cells, *_, **__: asked.extend(cells)
    )
    cells = cells_of(studies)
    arguments = SimpleNamespace(
        folder=tmp_path, share="1/1", threads=1, device="cpu", drawn=True, known=[], processes=1
    )
    studies("study").run_study(cells, arguments, data=None, starts=cells[4:])
    assert [cell.name for cell in asked] == ["start_0", *(cell.name for cell in cells[:4])]


def test_only_runs_of_the_same_recipe_are_known(studies: Any, tmp_path: Path) -> None:
    table = table_of(studies, cells_of(studies), tmp_path / "before")
    known = studies("known")
    known.restore(cells_of(studies, penalty=0.5), tmp_path / "other", [table])
    assert not (tmp_path / "other").exists()
    known.restore(cells_of(studies), tmp_path / "same", [table])
    # One whose weights are needed is not restored, as a table has none.
    assert sorted(path.name for path in (tmp_path / "same").iterdir()) == [
        "set1_0",
        "set1_1",
        "set2_0",
        "set2_1",
    ]
    restored = json.loads((tmp_path / "same" / "set2_1" / "result.json").read_text())
    assert restored["recipe"] == json.loads(json.dumps(cells_of(studies)[3].recipe.as_dict()))


def test_a_run_of_the_folder_is_not_overwritten(studies: Any, tmp_path: Path) -> None:
    cells = cells_of(studies)
    table = table_of(studies, cells, tmp_path / "before")
    (tmp_path / "set1_0").mkdir()
    (tmp_path / "set1_0" / "result.json").write_text("mine")
    studies("known").restore(cells, tmp_path, [table])
    assert (tmp_path / "set1_0" / "result.json").read_text() == "mine"


def test_a_start_is_known_by_its_name_wherever_it_lies(studies: Any, tmp_path: Path) -> None:
    table = table_of(studies, cells_of(studies, start="here/x3d_0"), tmp_path / "before")
    for start, is_known in (("there/x3d_0", True), ("here/x3d_1", False), ("", False)):
        folder = tmp_path / f"after {start.replace('/', '-')}"
        studies("known").restore(cells_of(studies, start=start), folder, [table])
        assert folder.exists() == is_known


def test_no_folder_of_a_machine_is_in_a_table(
    studies: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = str(tmp_path / "before" / "x3d_0")
    typed = ["--data", f"{tmp_path}/clips", "--front-ends", "a;b", "--folder", f"{tmp_path}/runs"]
    monkeypatch.setattr(sys, "argv", [f"{tmp_path}/ut_interaction.py", *typed])
    table = table_of(studies, cells_of(studies, start=start), tmp_path / "before")
    assert str(tmp_path) not in table.read_text()
    assert json.loads(table.read_text())["command"] == (
        "python benchmarks/studies/ut_interaction.py --data DIR --front-ends 'a;b' --folder study"
    )


def test_a_table_names_no_folder_of_this_machine(studies: Any) -> None:
    typed = ["/there/ut.py", "--data", "/ut", "--folder", "/runs", "--known", "/r/a.json", "b.json"]
    said = "python benchmarks/studies/ut.py --data DIR --folder study --known a.json b.json"
    assert studies("tables")._command(typed) == said
