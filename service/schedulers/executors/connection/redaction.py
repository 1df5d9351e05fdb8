"""Messages as people may read them: without secrets, and not too long."""

from collections.abc import Iterable

_BEGINNING, _END = 300, 100


def redact(message: str, secrets: Iterable[str]) -> str:
    """The message with "…" where it has a secret; one may be a part of another."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        message = message.replace(secret, "…")
    return message


def shorten(message: str) -> str:
    """The message without the middle of a long one.

    Not before it is redacted: a part of a secret is not known for one.
    """
    if len(message) <= _BEGINNING + _END:
        return message
    return f"{message[:_BEGINNING]} … {message[-_END:]}"
