"""What a caller may do: the scopes of tokens, and what an address asks of whoever calls it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum


class TokenScope(StrEnum):
    """What a token is for.

    `ADMIN`: everything. `USER`: studies and sweeps. `WORKER`: launching attempts, and reading.
    """

    ADMIN = "admin"
    USER = "user"
    WORKER = "worker"


class Access(Enum):
    """Who is let in besides administrators.

    `ANYBODY`: whoever knows the address, without a token. `READ`: users and workers. `STUDY`: as
    `READ`, and attempts of that study. `TRIAL`: users, and the attempts of that trial.
    """

    ANYBODY = "anybody"
    ADMIN = "admin"
    USER = "user"
    WORKER = "worker"
    READ = "read"
    STUDY = "study"
    TRIAL = "trial"


_EVERYBODY = frozenset(TokenScope)
_SCOPES: Mapping[Access, frozenset[TokenScope]] = {
    Access.ANYBODY: _EVERYBODY,
    Access.ADMIN: frozenset({TokenScope.ADMIN}),
    Access.USER: frozenset({TokenScope.ADMIN, TokenScope.USER}),
    Access.WORKER: frozenset({TokenScope.ADMIN, TokenScope.WORKER}),
    Access.READ: _EVERYBODY,
    Access.STUDY: _EVERYBODY,
    Access.TRIAL: frozenset({TokenScope.ADMIN, TokenScope.USER}),
}


@dataclass(frozen=True, slots=True)
class AttemptClaims:
    """The one attempt that an attempt's token speaks for.

    Attributes:
        study_id: Tells a study from a later one of the same name.
    """

    study: str
    study_id: int
    trial: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Browser:
    """What is special about a caller that has a session instead of a token.

    Attributes:
        csrf_token: What its writes must carry; pages of other hosts do not know it.
    """

    csrf_token: str
    session_ends_at: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request.

    Attributes:
        name: For people; never the token.
        scope: None for an attempt, which may do only what concerns itself.
        token_digest: Of the token behind it; None for an attempt.
        browser: None for callers that sent a token.
    """

    name: str
    scope: TokenScope | None
    attempt: AttemptClaims | None = None
    token_digest: bytes | None = None
    browser: Browser | None = None

    def may(self, access: Access, *, study: str | None, trial: str | None) -> bool:
        """Whether an address that asks for `access` answers.

        Args:
            study: Named by the address.
            trial: Number in the address, as it is written there.
        """
        if self.attempt is None:
            return self.scope in _SCOPES[access]
        if access is Access.STUDY:
            return study == self.attempt.study
        is_its_trial = study == self.attempt.study and trial == str(self.attempt.trial)
        return access is Access.TRIAL and is_its_trial


def list_scopes(access: Access) -> list[TokenScope]:
    """The scopes that are enough, the least one first."""
    return [scope for scope in reversed(TokenScope) if scope in _SCOPES[access]]
