"""What `import kinema` gives and costs, and that the README tells the truth."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import kinema
from kinema.cli.main import parser
from kinema.video import write_video

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_every_public_name_exists() -> None:
    assert all(getattr(kinema, name) is not None for name in kinema.__all__)


def test_importing_kinema_imports_no_heavy_library() -> None:
    code = (
        "import kinema, sys; print([name for name in "
        "('diffusers', 'transformers', 'accelerate', 'matplotlib', 'gradio', 'jinja2', "
        "'torch._dynamo') "
        "if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_python_of_the_readme_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    torch.manual_seed(0)
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), names)
    *_, description, judged, _ = capsys.readouterr().out.splitlines()
    # The judge finds from pixels what the renderer says it drew.
    assert ast.literal_eval(judged) == asdict(kinema.sprites.parse_caption(description))


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "clip.mp4", tmp_path / "folder" / "clip.mp4"):
        write_video(path, torch.rand(5, 3, 32, 32), frames_per_second=8)
    commands = [line for block in blocks("sh") for line in block.splitlines() if line.strip()]
    assert {command.split()[0] for command in commands} == {"make", "kinema"}
    run = [command for command in commands if command.startswith("kinema")]
    assert len(run) >= 2
    for command in run:
        binary = Path(sys.executable).parent
        subprocess.run(
            f"{binary}/{command}", shell=True, cwd=tmp_path, check=True, capture_output=True
        )
    assert (tmp_path / "circle.mp4").exists()
    assert (tmp_path / "clip-see" / "see.json").exists()
    assert (tmp_path / "seen" / "clip.mp4" / "see.json").exists()


def commands_of_numbers() -> list[list[str]]:
    """The commands in the last column of the README's numbers, in words."""
    numbers = README.read_text().partition("## Numbers")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in numbers.splitlines() if line[:1] == "|"]
    assert len(rows) > 10
    cells = [row[-1] for row in rows[2:]]
    # A row that is moved would take another's command for its own.
    assert not [cell for cell in cells if cell.startswith("same")]
    return [shlex.split(command) for cell in cells for command in re.findall("`([^`]+ .+?)`", cell)]


def test_the_commands_of_the_numbers_are_whole() -> None:
    commands = commands_of_numbers()
    assert {name for name, *_ in commands} == {"kinema", "python"}
    for name, *options in commands:
        if name == "kinema":
            parser().parse_args(options)
            continue
        script = README.parent / options.pop(0)
        # Options of all studies are in one file.
        files = (
            [script, script.with_name("study.py")] if script.parent.name == "studies" else [script]
        )
        source = "".join(file.read_text() for file in files)
        given = {each for each in options if each.startswith("-")}
        assert all(f'"{each}"' in source for each in given)
        needed = re.findall(r'add_argument\("(-[^"]+)"[^\n]*required=True', source)
        assert given >= set(needed), f"{script.name} needs {needed}"
    assert any(command[:3] == ["kinema", "sprites", "report"] for command in commands)


def test_the_picture_of_transfer_is_made_from_the_command_it_names() -> None:
    example = (README.parent / "examples" / "transfer_picture.py").read_text()
    before = example.partition("ablations.py ")[2].partition("\npython")[0]
    named = before.replace("\\\n", " ").split()
    ours = ["python", "benchmarks/ablations.py", *named]
    assert ours in commands_of_numbers()
    for what in ("references", "prompts"):
        count = int(named[named.index(f"--{what}") + 1])
        (shown,) = re.findall(rf'"--{what}", .*default=\[([\d, ]+)\]', example)
        assert all(int(number) < count for number in shown.split(", "))


def imported_by(file: Path) -> set[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((README.parent / "pyproject.toml").read_text())["project"]
    given = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        given += extra
    names = {re.split(r"[^\w-]", each)[0].replace("-", "_") for each in given}
    # What is imported by another name, what torch brings along, and what is the user's to have.
    names |= {"PIL", "cv2", "triton", "cotracker", "kinema", *sys.stdlib_module_names}
    for file in Path(kinema.__file__).parent.rglob("*.py"):
        assert imported_by(file) <= names, file


def test_the_targets_of_the_readme_are_in_the_makefile() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("sh")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
