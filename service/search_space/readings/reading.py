"""What all readings have in common."""

from typing import Any, Protocol


class Reading(Protocol):
    """How what a sampler drew for a parameter becomes the value that a trial gets.

    Immutable; equal if it reads the same. `resolve(find_drawn(resolve(drawn)))` is
    `resolve(drawn)`: a value that was shown can be given back.
    """

    def resolve(self, drawn: Any) -> Any:
        """Return the value of a trial, in JSON's types."""
        ...

    def find_drawn(self, value: Any) -> Any:
        """Return what may have been drawn for a value without a problem (see `find_problem`)."""
        ...

    def find_problem(self, value: Any) -> str | None:
        """Return why the parameter can never be `value`, or None."""
        ...

    def describe(self) -> str:
        """Return what the parameter may be, on one line, for people."""
        ...
