"""Ports of the loopback that stay one's own while nothing listens there."""

import socket


def bind(port: int) -> socket.socket:
    """A port that nobody else is given, though it refuses connections until somebody listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
