"""A declared search space, from the JSON that a client wrote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from service.domain.arguments import did_you_mean, make_printable
from service.domain.errors import FieldError, InvalidSpace
from service.search_space.distributions import is_optuna_form, type_names
from service.search_space.entries import read_entry
from service.search_space.json_values import list_json_problems
from service.search_space.readings import Reading
from service.search_space.scalars import (
    describe,
    find_name_problem,
    find_scalar_problem,
)
from service.search_space.spaces import Parameter, SearchSpace

_MAX_DEPTH = 32


@dataclass(slots=True)
class _Draft:
    """What has been read so far; `whens` are the conditions as written."""

    drawn: dict[str, tuple[BaseDistribution, Reading | None]] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    whens: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, dict[str, tuple[Any, ...]]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    errors: list[FieldError] = field(default_factory=list)

    def refuse(self, path: str, message: str) -> None:
        self.errors.append(FieldError(path, message))


def parse_space(document: Mapping[str, Any]) -> SearchSpace:
    """Return the search space that `document` declares.

    Nested objects are groups, flattened with dots; a bare value or `{"value": …}` is a constant;
    `when` makes a parameter conditional.

    Raises:
        InvalidSpace: With all problems at once; fields are dotted paths into the document.
    """
    draft = _Draft()
    _read_document(document, draft)
    _check_clashes(draft)
    for name, when in draft.whens.items():
        draft.conditions[name] = dict(_read_when(name, when, draft))
    order = _order(draft)
    if draft.errors:
        errors = make_printable(draft.errors)
        first = errors[0]
        raise InvalidSpace(
            f"The search space is not valid: {first.field or 'space'}: {first.message}",
            errors=errors,
        )
    parameters = (
        Parameter(name, distribution, draft.conditions.get(name, {}), reading)
        for name in order
        for distribution, reading in [draft.drawn[name]]
    )
    return SearchSpace(tuple(parameters), draft.constants)


def find_read_entries(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the entries of a valid search space that have a reading, by flattened name.

    Without their conditions: just what `parse_readings` needs.
    """
    return dict(_find_read_entries(document, ""))


def parse_readings(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Reading]:
    """Return the readings of what `find_read_entries` found; see `SearchSpace.readings`."""
    read = ((name, read_entry(entry, name, [])) for name, entry in entries.items())
    return {name: found[1] for name, found in read if found is not None and found[1] is not None}


def _find_read_entries(
    group: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, entry in group.items():
        name = f"{prefix}{key}"
        if not isinstance(entry, Mapping):
            continue
        if not _is_parameter(entry):
            yield from _find_read_entries(entry, f"{name}.")
        else:
            yield from _keep_read(name, _without_conditions(entry))


def _keep_read(name: str, entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if parse_readings({name: entry}):
        yield name, entry


def _without_conditions(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "when"}


def _read_document(document: Any, draft: _Draft) -> None:
    if isinstance(document, Mapping):
        _read_group(document, "", 0, draft)
    else:
        draft.refuse("", "A search space is an object of parameters by name.")


def _read_group(group: Mapping[str, Any], prefix: str, depth: int, draft: _Draft) -> None:
    if depth > _MAX_DEPTH:
        draft.refuse(prefix[:80], f"Groups may be nested at most {_MAX_DEPTH} deep.")
        return
    if not group and depth:
        draft.refuse(prefix, "This group is empty; leave it out.")
    for key, document in group.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if problem := _find_key_problem(key):
            draft.refuse(path, problem)
        else:
            _read_entry(document, path, depth, draft)


def _find_key_problem(key: Any) -> str | None:
    if problem := find_name_problem(key):
        return problem
    if "" in key.split("."):
        return "A dot separates groups; there must be a name on both of its sides."
    return None


def _read_entry(document: Any, path: str, depth: int, draft: _Draft) -> None:
    if isinstance(document, Mapping) and not _is_parameter(document):
        _read_group(document, path, depth + 1, draft)
        return
    if problem := find_name_problem(path):
        draft.refuse(path, problem)
    if path in draft.names:
        draft.refuse(path, "Another entry has the same name once groups are flattened with dots.")
    draft.names.add(path)
    if not isinstance(document, Mapping):
        _read_constant(document, path, draft)
    elif "value" in document and "type" not in document:
        _read_wrapped_constant(document, path, draft)
    else:
        _read_parameter(document, path, draft)


def _is_parameter(document: Mapping[str, Any]) -> bool:
    """Tell a distribution or constant, even a misspelt one, from a group of parameters."""
    if isinstance(document.get("type"), str) or is_optuna_form(document):
        return True
    if "value" in document and not isinstance(document["value"], Mapping):
        return True
    return isinstance(document.get("choices"), list | tuple) or (
        _is_plain(document, "low") and _is_plain(document, "high")
    )


def _is_plain(document: Mapping[str, Any], key: str) -> bool:
    return key in document and not isinstance(document[key], Mapping)


def _read_constant(value: Any, path: str, draft: _Draft) -> None:
    if isinstance(value, list | tuple):
        draft.refuse(
            path,
            'A bare list is not a parameter; write {"type": "categorical", "choices": […]} to '
            'choose from it, or {"value": […]} for a constant.',
        )
    elif problem := find_scalar_problem(value):
        draft.refuse(path, problem)
    else:
        draft.constants[path] = value


def _read_wrapped_constant(document: Mapping[str, Any], path: str, draft: _Draft) -> None:
    for key in document:
        if key != "value":
            nearest = did_you_mean(str(key), type_names)
            draft.refuse(
                f"{path}.{key}",
                f'A constant has only a "value"; {describe(key)} is not known.{nearest}',
            )
    for field_, problem in list_json_problems(document["value"], f"{path}.value"):
        draft.refuse(field_, problem)
    draft.constants[path] = document["value"]


def _read_parameter(document: Mapping[str, Any], path: str, draft: _Draft) -> None:
    if "when" in document:
        draft.whens[path] = document["when"]
    found = read_entry(_without_conditions(document), path, draft.errors)
    if found is not None:
        draft.drawn[path] = found


def _check_clashes(draft: _Draft) -> None:
    for name in sorted(draft.names):
        parts = name.split(".")
        for depth in range(1, len(parts)):
            group = ".".join(parts[:depth])
            if group in draft.names:
                draft.refuse(name, f'"{group}" cannot be a parameter and a group at once.')


def _read_when(name: str, when: Any, draft: _Draft) -> Iterator[tuple[str, tuple[Any, ...]]]:
    path = f"{name}.when"
    if not isinstance(when, Mapping) or not when:
        draft.refuse(path, '"when" is an object such as {"optimizer": ["sgd"]}.')
        return
    for other, values in when.items():
        if problem := _find_reference_problem(name, other, draft):
            draft.refuse(f"{path}.{other}", problem)
        elif not isinstance(values, list | tuple) or not values:
            draft.refuse(f"{path}.{other}", "This must be a list with at least one value.")
        else:
            _check_when_values(f"{path}.{other}", other, values, draft)
            yield other, tuple(values)


def _find_reference_problem(name: str, other: Any, draft: _Draft) -> str | None:
    if other == name:
        return "A parameter cannot depend on itself."
    if other in draft.constants:
        return f'"{other}" is a constant, so the condition decides nothing; leave it out.'
    if other not in draft.names:
        return f"There is no parameter {describe(other)}.{did_you_mean(str(other), draft.names)}"
    return None


def _check_when_values(path: str, other: str, values: Sequence[Any], draft: _Draft) -> None:
    if other not in draft.drawn:
        return
    distribution, reading = draft.drawn[other]
    parameter = Parameter(other, distribution, {}, reading)
    for index, value in enumerate(values):
        if problem := parameter.find_problem(value):
            draft.refuse(f"{path}.{index}", f'"{other}" can never be this: {problem}')


def _order(draft: _Draft) -> list[str]:
    """Return the names sorted, except that each follows those it depends on."""
    ordered: dict[str, None] = {}
    waiting = sorted(draft.drawn)
    while waiting:
        ready = next((name for name in waiting if _is_ready(name, ordered, draft)), None)
        if ready is None:
            _refuse_cycles(waiting, draft)
            break
        ordered[ready] = None
        waiting.remove(ready)
    return list(ordered)


def _is_ready(name: str, ordered: Mapping[str, None], draft: _Draft) -> bool:
    others = draft.conditions.get(name, {})
    return all(other in ordered or other not in draft.drawn for other in others)


def _refuse_cycles(waiting: Sequence[str], draft: _Draft) -> None:
    for name in waiting:
        if name in _ancestors(name, draft):
            draft.refuse(f"{name}.when", "The conditions form a cycle; one of them must go.")


def _ancestors(name: str, draft: _Draft) -> set[str]:
    found: set[str] = set()
    pending = [name]
    while pending:
        new = draft.conditions.get(pending.pop(), {}).keys() - found
        found |= new
        pending.extend(new)
    return found
