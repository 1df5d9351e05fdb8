"""What tests of sweep files start from: a small one, and what is said about a text."""

import pytest

from service.domain.errors import InvalidSweepFile
from service.sweep_files import SweepFile, read_sweep_file

SMALLEST = """method: random
metric: {name: loss}
program: train.py
parameters:
  n: {values: [1, 2]}
"""


def read_parameters(text: str, method: str = "random") -> SweepFile:
    head = f"method: {method}\nmetric: {{name: loss}}\nprogram: train.py\nparameters:\n"
    return read_sweep_file(head + text)


def refusals(text: str) -> dict[str, str]:
    with pytest.raises(InvalidSweepFile) as caught:
        read_sweep_file(text)
    return {error.field: error.message for error in caught.value.errors}
