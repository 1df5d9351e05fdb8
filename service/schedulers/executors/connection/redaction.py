"""Messages without secrets."""

from collections.abc import Iterable


def redact(message: str, secrets: Iterable[str]) -> str:
    """The message with "…" where it has a secret; one may be a part of another."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        message = message.replace(secret, "…")
    return message
