"""What the command says and returns as it ends."""

import pytest
import torch

from kinema.cli import main
from kinema.errors import InputError

NO_MEMORY = (
    "kinema: there is not enough memory for this; give a smaller batch, fewer frames or a smaller "
    "size\n"
)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("x is 3; give 4"), 2, "kinema: x is 3; give 4\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "kinema: No such file (x)\n"),
        (MemoryError(), 2, NO_MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"), 2, NO_MEMORY),
        (KeyboardInterrupt("in the middle of something"), 130, "kinema: interrupted\n"),
    ],
)
def test_an_end_before_the_end_is_one_sentence_and_a_status(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(arguments: object) -> None:
        raise error

    monkeypatch.setattr("kinema.cli.demo.run", end)
    assert main(["demo"]) == status
    assert capsys.readouterr().err == said


def test_memory_that_the_machine_has_not_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kinema.cli.demo.run", lambda _: torch.empty(2**50))
    assert main(["demo"]) == 2
    assert capsys.readouterr().err == NO_MEMORY


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(arguments: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr("kinema.cli.demo.run", end)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        main(["demo"])
