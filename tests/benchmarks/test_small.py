"""`make bench` runs every benchmark, by options that it has."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
_spec = importlib.util.spec_from_file_location("small", FOLDER / "small.py")
assert _spec is not None
assert _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)


def test_every_benchmark_has_a_small_version() -> None:
    helpers = {"small", "report", "growth", "shortened", "variants"}
    scripts = {path.stem for path in FOLDER.glob("*.py")} - helpers
    # It needs a GPU, and is there where one is.
    assert scripts - {"prompt_bandwidth"} == set(small.SMALL) - {"prompt_bandwidth"}
    assert "prompt_bandwidth" in scripts


@pytest.mark.parametrize("name", list(small.SMALL))
def test_its_options_are_those_of_the_script(name: str) -> None:
    options = _destinations(ast.parse((FOLDER / f"{name}.py").read_text()))
    for option in (each for each in small.SMALL[name] if each.startswith("--")):
        assert option.removeprefix("--").replace("-", "_") in options, option


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_script_reads_no_option_that_it_does_not_have(path: Path) -> None:
    """What a renamed option leaves behind is found by running the script, or here."""
    tree = ast.parse(path.read_text())
    options = _destinations(tree)
    parsed = set(_read_of_the_parsed(tree))
    assert bool(parsed) == bool(options)
    assert parsed <= options, parsed - options


def _destinations(tree: ast.AST) -> set[str]:
    """The names under which `add_argument` keeps what it is given."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
            long = next((name for name in names if name.startswith("--")), names[0])
            found.add(long.lstrip("-").replace("-", "_"))
    return found


def _read_of_the_parsed(tree: ast.AST) -> Iterator[str]:
    """What is read of `parse_args()`, where it is made and where it is given on as a Namespace."""
    for function in (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef)):
        names = {
            each.arg
            for each in function.args.args
            if each.annotation is not None and "Namespace" in ast.unparse(each.annotation)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".parse_args()"):
                names |= {ast.unparse(target) for target in node.targets}
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in names:
                yield node.attr
