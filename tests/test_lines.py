"""Lines of results: what a killed run leaves is mended, what is no result is named."""

from pathlib import Path

import pytest

from kinema.errors import InputError
from kinema.lines import read_lines


def test_half_a_line_is_left_out_and_stays_unless_the_file_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    assert read_lines(path, mend=True) == []
    path.write_text('{"a": 1}\n{"a": 2}\n{"a"')
    assert read_lines(path) == [{"a": 1}, {"a": 2}]
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n{"a"'
    assert read_lines(path, mend=True) == [{"a": 1}, {"a": 2}]
    assert path.read_text() == '{"a": 1}\n{"a": 2}\n'


@pytest.mark.parametrize("junk", ["junk", "3", '{"a": ', ""])
def test_a_line_that_is_no_result_is_named(junk: str, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text(f'{{"a": 1}}\n{junk}\n')
    with pytest.raises(InputError, match=r"line 2 of .*results\.jsonl is .*not a result"):
        read_lines(path)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="is not text"):
        read_lines(path)
