"""Refusals are answers too: a caller gets one only once what it rests on is committed."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from service.domain.errors import Conflict, Invalid, NotFound, TooMany
from service.engine.actor import Actor

_Given = ParamSpec("_Given")
_Answer = TypeVar("_Answer")
_UseCase = Callable[Concatenate[Actor, _Given], Coroutine[Any, Any, _Answer]]


def confirms_refusals(use_case: _UseCase[_Given, _Answer]) -> _UseCase[_Given, _Answer]:
    """Makes a use case prove that the study is still ours before it refuses anything.

    Another server may have taken the study over without this one having noticed; and what is
    refused because of an operation before it is not to be refused if that one fails.

    Raises:
        Unavailable: From the use case, instead of a refusal that nothing is known to support.
    """

    @wraps(use_case)
    async def confirm_refusal(
        actor: Actor, /, *given: _Given.args, **named: _Given.kwargs
    ) -> _Answer:
        try:
            return await use_case(actor, *given, **named)
        except (NotFound, Conflict, TooMany, Invalid):
            await actor.confirm()
            raise

    return confirm_refusal
