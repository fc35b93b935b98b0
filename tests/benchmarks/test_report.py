"""What benchmarks write says how it was made, and nothing of the machine it was made on."""

import importlib.util
import json
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "report", Path(__file__).parents[2] / "benchmarks" / "report.py"
)
assert _spec is not None
assert _spec.loader is not None
report = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(report)


def test_a_command_has_no_folders_of_this_machine() -> None:
    typed = [
        "/somewhere/benchmarks/loader.py",
        "--root",
        "/data/ut",
        "-o",
        "out/it",
        "--clips",
        "a b",
    ]
    said = "python benchmarks/loader.py --root ut -o out/it --clips 'a b'"
    assert report.command(typed) == said


def test_figures_stand_behind_what_they_were_made_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks/some.py", "--json", str(tmp_path / "some.json")])
    report.write_report(tmp_path / "some.json", rows=[{"seconds": 1.5}], repeats=3)
    written = json.loads((tmp_path / "some.json").read_text())
    assert list(written) == ["command", "commit", "machine", "rows", "repeats"]
    assert written["command"] == "python benchmarks/some.py --json some.json"
    assert written["machine"]["device"] == "cpu"
    assert written["rows"] == [{"seconds": 1.5}]
    assert str(tmp_path) not in (tmp_path / "some.json").read_text()
