"""Cursors: where the next page of a list begins, opaque to clients."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeGuard

import orjson

from service.domain.errors import FieldError, Invalid
from service.domain.limits import MAX_NAME_LENGTH


def encode_cursor(last: str | tuple[str, int] | tuple[int, int]) -> str:
    """A cursor that continues after the study of this name, or after a trial or an attempt.

    A trial is the order of its list and its number; an attempt is the number of its trial and its
    own.
    """
    return urlsafe_b64encode(orjson.dumps(last)).decode().rstrip("=")


def decode_name_cursor(cursor: str | None) -> str | None:
    """The study name that a page continues after.

    Raises:
        Invalid: It is none of our cursors, or belongs to another list.
    """
    if cursor is None:
        return None
    last = _decode(cursor)
    if not isinstance(last, str) or len(last) > MAX_NAME_LENGTH or "\0" in last:
        raise _build_refusal()
    return last


def decode_trial_cursor(cursor: str | None, order: str) -> int | None:
    """The number of the trial that a page of a list in this order continues after.

    Raises:
        Invalid: It is none of our cursors, or belongs to another list or order.
    """
    if cursor is None:
        return None
    match _decode(cursor):
        case [str(its_order), number] if its_order == order and _is_number(number):
            return number
    raise _build_refusal()


def decode_attempt_cursor(cursor: str | None) -> tuple[int, int] | None:
    """Trial number and attempt that a page continues after.

    Raises:
        Invalid: It is none of our cursors, or belongs to another list.
    """
    if cursor is None:
        return None
    match _decode(cursor):
        case [number, attempt] if _is_number(number) and _is_number(attempt):
            return number, attempt
    raise _build_refusal()


def _is_number(last: object) -> TypeGuard[int]:
    return type(last) is int and 0 <= last < 2**31


def _decode(cursor: str) -> object:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return orjson.loads(urlsafe_b64decode(padded))
    except ValueError:
        raise _build_refusal() from None


def _build_refusal() -> Invalid:
    message = (
        "is not a cursor of this list in its order; pass next_cursor of the page before, unchanged"
    )
    return Invalid(
        f"The request is not valid. cursor: {message}.", errors=[FieldError("cursor", message)]
    )
