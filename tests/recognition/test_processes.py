"""Processes that train together part when the work is done."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kinema.cli import main
from kinema.recognition.processes import leave_processes


@pytest.fixture
def group(tmp_path: Path) -> None:
    """A group of this process alone."""
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)


@pytest.mark.usefixtures("group")
def test_a_group_is_left_once_and_no_group_is_nothing_to_leave() -> None:
    leave_processes()
    assert not torch.distributed.is_initialized()
    leave_processes()


@pytest.mark.usefixtures("group")
def test_the_command_leaves_the_group_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = {
        "last_epoch": {"loss": 1.0, "top1": 0.5},
        "num_steps": 1,
        "num_clips": 2,
        "share_waiting_for_data": 0.0,
        "broken_clips": [],
    }
    there: list[bool] = []

    def trained(*given: object, **options: object) -> dict[str, object]:
        there.append(torch.distributed.is_initialized())
        return summary

    monkeypatch.setattr("kinema.recognition.finetune", trained)
    monkeypatch.setattr("kinema.recognition.read_recipe", lambda *_, **__: SimpleNamespace())
    assert main(["finetune", "any.toml", "-o", str(tmp_path / "run")]) == 0
    assert there == [True]
    assert not torch.distributed.is_initialized()
    assert "1 steps on 2 clips" in capsys.readouterr().out


_TRAIN_AND_LEAVE = """
from pathlib import Path
import torch
from kinema.recognition.processes import leave_processes, new_accelerator

def threads():
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]

model = new_accelerator("cpu").prepare(torch.nn.Linear(2, 2))
model(torch.ones(1, 2)).sum().backward()
assert any("gloo" in name for name in threads()), threads()
del model
leave_processes()
assert not any("gloo" in name for name in threads()), threads()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are named on Linux alone")
def test_no_thread_of_a_group_that_trained_outlives_it(tmp_path: Path) -> None:
    """One that did aborted its process now and then, as Python ended."""
    script = tmp_path / "train.py"
    script.write_text(_TRAIN_AND_LEAVE)
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, "-m", *launch, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert result.returncode == 0, result.stderr
