"""Which of Optuna's samplers and pruners an object is, and with which arguments it was made.

Constructors note what they are called with, so that an object becomes a `{type, args}` document
without ever being pickled.
"""

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, nsgaii

from service.sandbox.inside.trial import to_plain

_HOMES = (optuna.samplers, optuna.pruners, nsgaii)
_BASES = (BaseSampler, BasePruner, nsgaii.BaseCrossover, nsgaii.BaseMutation)

_Call = tuple[Any, tuple[Any, ...], dict[str, Any]]
# By id; holds the object too, so that no other can get the id.
_calls: dict[int, _Call] = {}


class NotSayable(Exception):
    """No document can say this object; the message is a sentence."""


def record_constructors() -> None:
    """Make the constructors of Optuna's own classes note their arguments; call it once."""
    for kind in _list_kinds():
        _record(kind)


def to_document(made: Any) -> dict[str, Any]:
    """Return the `{type, args}` of a sampler, pruner, crossover or mutation.

    Raises:
        NotSayable: It is of a class of the user's, or was made with what JSON cannot say.
    """
    kind = type(made)
    if kind not in set(_list_kinds()):
        raise NotSayable(f"{kind.__name__} is not one of Optuna's own classes.")
    if id(made) not in _calls:
        raise NotSayable(f"This {kind.__name__} was not made by calling its class.")
    _, args, kwargs = _calls[id(made)]
    names = inspect.signature(kind).parameters
    # By order and not `bind`: Optuna still takes some by position that the signature does not.
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {"type": kind.__name__, "args": _convert_args(kind, given)}


def _list_kinds() -> Iterator[type]:
    for home in _HOMES:
        for name in home.__all__:
            kind = getattr(home, name)
            if isinstance(kind, type) and issubclass(kind, _BASES):
                yield kind


def _record(kind: type) -> None:
    # mypy rightly thinks that a class's constructor is not for others to change.
    initialise = kind.__init__  # type: ignore[misc]

    @functools.wraps(initialise)
    def note_and_initialise(self: Any, *args: Any, **kwargs: Any) -> None:
        # The first is the call of the object's own class; a base class may follow.
        _calls.setdefault(id(self), (self, args, kwargs))
        initialise(self, *args, **kwargs)

    kind.__init__ = note_and_initialise  # type: ignore[misc]


def _convert_args(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    args: dict[str, Any] = {}
    for name, value in given.items():
        try:
            args[name] = to_document(value) if isinstance(value, _BASES) else to_plain(value)
        except (NotSayable, ValueError) as error:
            raise NotSayable(
                f"Argument {name} of {kind.__name__} cannot be said in JSON: {error}"
            ) from error
    return args
