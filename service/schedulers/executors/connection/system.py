"""What there is to know of an outside system before anybody calls it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from service.schedulers.executors.connection.redaction import redact, shorten

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
"""Addresses; there may be passwords in them."""

NETWORK = (*PROXIES, "NO_PROXY", "no_proxy", "SSL_CERT_*", "*_CA_BUNDLE")
"""What any process needs to find its way out, and to trust whom it finds there."""

# What it needs to find its home and its Python.
_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_*", "TZ", "TMPDIR", "XDG_*"),
    *("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", *NETWORK),
)


@dataclass(frozen=True, slots=True)
class OutsideSystem:
    """One server of an outside system, as a worker reaches it.

    Attributes:
        name: As people know it, such as "W&B".
        host: Of the server, as people know it.
        command: Of the process that has the system's package; see `serving`.
        environment: Of that process.
        secrets: What must not be in any message.
        folder_variable: Tells the process of a folder of its own, which goes with it; None: it
            needs none.
        calls_per_second: That it bears, on the whole; a burst of ten may be faster.
    """

    name: str
    host: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    folder_variable: str | None = None
    calls_per_second: float = 2.0

    def redact(self, message: str) -> str:
        """The message without the secrets, and without the middle of a long one."""
        return shorten(redact(message, self.secrets))


def choose_environment(worker: Mapping[str, str], patterns: tuple[str, ...]) -> dict[str, str]:
    """Those variables of a worker that a pattern of these names, and what any process needs."""
    return {name: value for name, value in worker.items() if matches(name, _PASSED + patterns)}


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns, as of shells, is a variable's name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
