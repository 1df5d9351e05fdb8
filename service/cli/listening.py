"""Where the server listens, and under which URL that is reached from the same machine."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from service.cli.failures import CannotStart

_BACKLOG = 2048
_REACHED_BY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  read, not bound


@contextmanager
def open_listener(host: str, port: int) -> Iterator[socket.socket]:
    """A listening socket; port 0 takes a free one.

    Raises:
        CannotStart: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CannotStart(_explain(error, host, port)) from error
    with listener:
        yield listener


def build_url(host: str, port: int) -> str:
    """The URL of a server that listens there, for clients on the same machine."""
    reached_by = _REACHED_BY.get(host, host)
    return f"http://[{reached_by}]:{port}" if ":" in reached_by else f"http://{reached_by}:{port}"


def find_own_hosts(host: str) -> frozenset[str]:
    """Host names that follow from listening there; none for addresses that mean all."""
    if host in _REACHED_BY:
        return frozenset()
    return frozenset({f"[{host}]" if ":" in host else host.lower()})


def _explain(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is taken; choose another by --port or ASKTELL_PORT."
    return f"Cannot listen on {host} port {port}: {error.strerror}; see --host and --port."
