"""What sweeps launch in Flyte, and how their attempts are called there."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

LABEL_OF_ATTEMPT: Final = "asktell-attempt"
"""Of an execution: which attempt it is."""


class EntityKind(StrEnum):
    """What can be executed. A workflow is, by the launch plan that is registered with it."""

    TASK = "task"
    WORKFLOW = "workflow"
    LAUNCH_PLAN = "launch_plan"


@dataclass(frozen=True, slots=True)
class EntityName:
    """A registered entity: written `project/domain/name@version`.

    The version is never left out. What is registered last changes under a sweep that runs, also by
    the registration of something else in the same file.
    """

    project: str
    domain: str
    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads what `str` writes.

        Raises:
            ValueError: It is no such name; the message says what is missing.
        """
        match = _ENTITY_NAME.fullmatch(text)
        if match is None:
            raise ValueError(
                f"{text!r} does not name what is to be executed: write project/domain/name@version."
            )
        return cls(**match.groupdict())

    def __str__(self) -> str:
        return f"{self.project}/{self.domain}/{self.name}@{self.version}"


def build_execution_name(attempt_id: str) -> str:
    """Returns the name of an attempt's execution, which Flyte has once for ever.

    A second launch of the same attempt finds the first one by it. Flyte's names are at most 63
    characters of a-z, 0-9 and "-", and begin with a letter; this one has at most 38.
    """
    return f"asktell-{attempt_id}"


_ENTITY_NAME = re.compile(
    r"(?P<project>[^/@\s]+)/(?P<domain>[^/@\s]+)/(?P<name>[^@\s]+)@(?P<version>\S+)"
)
