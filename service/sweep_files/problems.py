"""What is wrong with a sweep file, and what else there is to say about it, by line."""

from dataclasses import dataclass, field

from service.domain.arguments import make_printable
from service.domain.errors import FieldError, InvalidSweepFile

_ROOT = "file"
_MAX_SHOWN = 100


@dataclass(slots=True)
class Problems:
    """What readers of a file have found so far."""

    _found: list[tuple[int, FieldError]] = field(default_factory=list)
    _notes: list[tuple[int, str]] = field(default_factory=list)

    def refuse(self, key: str, line: int, message: str) -> None:
        """Adds something that must be changed, the first time for each key and line.

        Args:
            key: Dotted path in the file as the user wrote it; empty for the whole file.

        Raises:
            InvalidSweepFile: There is so much of it that nobody would read on.
        """
        self._add(line, FieldError(key or _ROOT, f"line {line}: {message}"))

    def refuse_asked(self, name: str, message: str) -> None:
        """Adds something wrong with what was asked for beside the file; it has no line.

        Raises:
            InvalidSweepFile: As `refuse`.
        """
        self._add(0, FieldError(name, message))

    def is_about(self, key: str) -> bool:
        """Whether something was refused that is in this part of the file, or around it.

        Args:
            key: As in `refuse`; everything is in the whole file.
        """
        inner = f"{key}." if key else ""
        fields = [f"{error.field}." for _, error in self._found]
        return any(field.startswith(inner) or inner.startswith(field) for field in fields)

    def note(self, line: int, message: str) -> None:
        """Adds something that the user should know."""
        self._notes.append((line, f"line {line}: {message}"))

    @property
    def notes(self) -> tuple[str, ...]:
        """In the order of the lines, as many as anybody reads."""
        texts = [text for _, text in sorted(self._notes, key=lambda note: note[0])]
        more = len(texts) - _MAX_SHOWN
        return (*texts[:_MAX_SHOWN], f"There are {more} more notes.") if more > 0 else (*texts,)

    def check(self) -> None:
        """Raises what was refused, if anything was.

        Raises:
            InvalidSweepFile: With all of it, in the order of the lines.
        """
        if self._found:
            raise self.to_error()

    def to_error(self) -> InvalidSweepFile:
        """With all that was refused, in the order of the lines."""
        found = sorted(self._found, key=lambda each: each[0])
        errors = make_printable(error for _, error in found)
        first = errors[0]
        more = f" ({len(found) - 1} more; see errors)" if len(found) > 1 else ""
        return InvalidSweepFile(
            f"The sweep file cannot be used: {first.field}: {first.message}{more}", errors=errors
        )

    def _add(self, line: int, error: FieldError) -> None:
        if not any(found == line and other.field == error.field for found, other in self._found):
            self._found.append((line, error))
        if len(self._found) == _MAX_SHOWN:
            raise self.to_error()
