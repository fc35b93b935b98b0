"""What the command says and returns as it ends."""

import pytest

from kinema.cli import main
from kinema.errors import InputError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("x is 3; give 4"), 2, "kinema: x is 3; give 4\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "kinema: No such file (x)\n"),
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
