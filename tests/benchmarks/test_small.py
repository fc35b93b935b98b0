"""`make bench` runs every benchmark, by options that it has."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
_spec = importlib.util.spec_from_file_location("small", FOLDER / "small.py")
assert _spec is not None
assert _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)


def test_every_benchmark_has_a_small_version() -> None:
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {"small", "report"}
    # It needs a GPU, and is there where one is.
    assert scripts - {"prompt_bandwidth"} == set(small.SMALL) - {"prompt_bandwidth"}
    assert "prompt_bandwidth" in scripts


@pytest.mark.parametrize("name", list(small.SMALL))
def test_its_options_are_those_of_the_script(name: str) -> None:
    script = (FOLDER / f"{name}.py").read_text()
    for option in (each for each in small.SMALL[name] if each.startswith("--")):
        assert f'"{option}"' in script, option
