"""How texts that we hand out and get back are signed and written."""

import base64
import hmac


def sign(key: bytes, message: bytes) -> bytes:
    """32 bytes that nobody makes without the key."""
    return hmac.digest(key, message, "sha256")


def encode(data: bytes) -> bytes:
    """Base64 that is safe in URLs, headers and cookies, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def decode(text: bytes) -> bytes:
    """The reverse of `encode`."""
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
