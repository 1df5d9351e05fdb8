"""Inputs of an execution as Flyte keeps them, and what tells them from others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from flytekit.core.type_engine import TypeEngine, strict_type_hint_matching
from flytekit.exceptions.user import FlyteValueException
from flytekit.models.literals import Literal
from google.protobuf.message import Message  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from flytekit.remote import FlyteRemote


def convert_inputs(
    remote: FlyteRemote, entity: Any, inputs: Mapping[str, Any]
) -> dict[str, Literal]:
    """The inputs with literals in place of values, as `FlyteRemote.execute` makes them.

    Raises:
        FlyteValueException: The entity has no such input.
    """
    # As flytekit does before each conversion: files are uploaded by it.
    remote.file_access._get_upload_signed_url_fn = partial(
        remote.client.get_upload_signed_url,
        project=remote.default_project,
        domain=remote.default_domain,
    )
    with remote.remote_context() as context:
        return {key: _convert(context, entity, key, value) for key, value in inputs.items()}


def digest_inputs(literals: Mapping[str, Literal], inputs: Mapping[str, Any]) -> str:
    """A digest of 16 characters, the same in another process.

    Where files and tables were uploaded to is another place each time, and is left out.

    Args:
        literals: See `convert_inputs`.
        inputs: What they were made of.
    """
    digest = hashlib.sha256()
    for key, literal in sorted(literals.items()):
        # A copy.
        message = literal.to_flyte_idl()
        for holder in _list_holders_of_uris(message):
            if holder.uri not in repr(inputs[key]):
                holder.uri = ""
        content = message.SerializeToString(deterministic=True)
        digest.update(f"{key} {len(content)} ".encode() + content)
    return digest.hexdigest()[:16]


def _convert(context: Any, entity: Any, key: str, value: Any) -> Literal:
    if isinstance(value, Literal):
        return value
    variable = entity.interface.inputs.get(key)
    if variable is None:
        raise FlyteValueException(key, f"{entity.name} does not have this input.")
    interface = entity.python_interface
    hint = None if interface is None else interface.inputs.get(key)
    if hint is None:
        hint = _guess_type(value, variable.type)
    return TypeEngine.to_literal(context, value, hint, variable.type)


def _guess_type(value: Any, literal_type: Any) -> Any:
    try:
        return strict_type_hint_matching(value, literal_type)
    except ValueError:
        return TypeEngine.guess_python_type(literal_type)


def _list_holders_of_uris(message: Any) -> Iterator[Any]:
    """The parts of a literal's message that say where something is kept."""
    for field, value in message.ListFields():
        if field.name == "uri":
            yield message
        elif field.message_type is not None:
            for part in _list_parts(value):
                yield from _list_holders_of_uris(part)


def _list_parts(value: Any) -> list[Any]:
    if isinstance(value, Message):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value
    return [part for part in parts if isinstance(part, Message)]
