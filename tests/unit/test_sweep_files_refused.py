"""Bad sweep files and what is said about them, line by line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.errors import InvalidSweepFile
from service.sweep_files import read_sweep_file

ODD_FILES = Path(__file__).parent / "odd_sweep_files.txt"


def list_cases() -> Iterator[tuple[str, str, str]]:
    """Give title, file and refusals of each case: a heading, the file, `--`, the refusals."""
    for case in ODD_FILES.read_text().split("== ")[1:]:
        title, _, rest = case.partition("\n")
        file, _, refusals = rest.partition("\n--\n")
        yield title, file, refusals


@pytest.mark.parametrize(
    ("file", "refusals"), [pytest.param(*rest, id=title) for title, *rest in list_cases()]
)
def test_refuses_everything_at_once(file: str, refusals: str) -> None:
    with pytest.raises(InvalidSweepFile) as caught:
        read_sweep_file(file)

    found = [f"{error.field}: {error.message}" for error in caught.value.errors]
    assert found == refusals.splitlines()
    assert caught.value.errors[0].message in caught.value.message
