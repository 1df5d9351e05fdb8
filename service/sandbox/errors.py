"""How a call of a user file ends without an answer.

SandboxError
├── FileFailed           the file: fails its trial, or refuses its study
│   └── ProcessKilled    the file, or this machine: worth another try
└── SandboxUnavailable   this machine: worth another try, or a setting
SuggestRefused           raised by the caller's `suggest`, seen by the file as a ValueError
"""


class SandboxError(Exception):
    """Base of what a sandbox raises; `reason` is a sentence for users."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FileFailed(SandboxError):
    """The user file raised, crashed, passed a limit or answered with something else."""


class ProcessKilled(FileFailed):
    """A process was killed, by the kernel for its memory or by somebody."""


class SandboxUnavailable(SandboxError):
    """No process for user files could be started, or it was killed from outside."""


class ZygoteGone(SandboxUnavailable):
    """The process that starts the others was killed; a new one can take its place."""


class SuggestRefused(Exception):
    """The suggestion is wrong; the message is raised as a ValueError in the user's own line."""
