"""What tests of sweep files for W&B's schedulers start from, and the Python beside them."""

import pytest

from service.domain.errors import InvalidSweepFile
from service.sweep_files import (
    ArtifactFile,
    ArtifactText,
    Defaults,
    SourceUnavailable,
    SweepFile,
    draft_sweep_file,
)

LAUNCH = """job: acme/digits/train:v1
project: digits
metric: {name: loss}
parameters: {n: {min: 1, max: 4}}
launch: {queue: gpu}
"""
ENGINE = """method: custom
metric: {name: loss}
program: train.py
parameters: {n: {min: 1, max: 4}}
"""
SOURCES = {
    "search.py": "def objective(trial):\n    trial.suggest_int('n', 1, 4)\n",
    "tools.py": "def sampler():\n    return TPESampler()\n\n\ndef pruner():\n    pass\n",
}


class FewSources:
    """The files above, each also in the one artifact that W&B has.

    Attributes:
        wanted: What was asked of W&B.
    """

    def __init__(self) -> None:
        self.wanted: list[ArtifactFile] = []

    def read_file(self, path: str) -> str:
        if path == "binary.py":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        if path not in SOURCES:
            raise FileNotFoundError(2, "No such file or directory")
        return SOURCES[path]

    def read_artifact(self, wanted: ArtifactFile) -> ArtifactText:
        self.wanted.append(wanted)
        if wanted.file not in SOURCES:
            raise SourceUnavailable(f"There is no {wanted.file}.")
        return ArtifactText(SOURCES[wanted.file], "acme/digits/search:v3")


def read(text: str) -> SweepFile:
    file = draft_sweep_file(text, Defaults(name="s"), FewSources())
    file.problems.check()
    return file


def find_problems(text: str) -> dict[str, str]:
    with pytest.raises(InvalidSweepFile) as caught:
        read(text)
    return {error.field: error.message.partition(": ")[2] for error in caught.value.errors}


def list_notes(file: SweepFile) -> list[str]:
    return [note.partition(": ")[2] for note in file.notes]
