"""What `import kinema` gives and costs, and that the README tells the truth."""

import ast
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import kinema
from kinema.video import write_video

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_every_public_name_exists() -> None:
    assert all(getattr(kinema, name) is not None for name in kinema.__all__)


def test_importing_kinema_imports_no_heavy_library() -> None:
    code = (
        "import kinema, sys; print([name for name in "
        "('diffusers', 'transformers', 'accelerate', 'matplotlib', 'gradio', 'jinja2') "
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


def test_the_targets_of_the_readme_are_in_the_makefile() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", "\n".join(blocks("sh")), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
