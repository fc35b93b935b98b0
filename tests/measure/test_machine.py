"""What a figure was found on."""

import platform

import pytest
import torch

from kinema.measure.machine import machine


def test_a_cpu_is_named_with_its_threads_and_the_version_of_torch() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = machine(torch.device("cpu"))
    finally:
        torch.set_num_threads(before)
    assert (found["device"], found["threads"]) == ("cpu", 1)
    assert found["torch"] == torch.__version__
    assert found["processor"]
    assert platform.node() not in found.values()


def test_a_gpu_is_named_by_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"model of {device}")
    assert machine(torch.device("cuda:1"))["device"] == "model of cuda:1"
