"""Where the Postgres is, in the spellings that psycopg and SQLAlchemy want."""

from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SQLALCHEMY_PREFIX = "postgresql+psycopg://"
_PREFIXES = (_SQLALCHEMY_PREFIX, "postgresql://", "postgres://")

# A peer that vanished without a word is noticed within seconds.
_TIMEOUTS = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_PLAIN_OPTIONS = "-c TimeZone=UTC"

# The guard triggers let sessions through that say they are the engine. A role named like our
# schema would find our tables before Optuna's. Compiling a query takes longer than ours run. What
# ours read is of one study and mostly in memory: at the price of a disk's arm Postgres would rather
# read the tables of all studies from end to end.
_ENGINE_OPTIONS = (
    f"{_PLAIN_OPTIONS} -c asktell.engine=1 -c search_path=public -c jit=off -c random_page_cost=1.1"
)


@dataclass(frozen=True, slots=True)
class Database:
    """A Postgres database, named by one URL.

    Attributes:
        url: `postgres://`, `postgresql://` or `postgresql+psycopg://`, all meaning the same.
            Holds the password, hence kept out of `repr`.

    Raises:
        ValueError: The URL is not one of Postgres.
    """

    url: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(_PREFIXES):
            raise ValueError(
                "The database URL must start with postgresql:// (Asktell keeps its studies in "
                "Postgres 14 or newer)."
            )

    @property
    def conninfo(self) -> str:
        """For the service's own psycopg connections, which the guard triggers let through."""
        return self._conninfo(_ENGINE_OPTIONS)

    @property
    def plain_conninfo(self) -> str:
        """For psycopg connections that are guarded like any other client's."""
        return self._conninfo(_PLAIN_OPTIONS)

    @property
    def sqlalchemy_url(self) -> str:
        """For SQLAlchemy, hence Optuna and Alembic; guarded like any other client."""
        return _SQLALCHEMY_PREFIX + self._location

    @property
    def _location(self) -> str:
        return self.url.split("://", 1)[1]

    def _conninfo(self, options: str) -> str:
        libpq_url = "postgresql://" + self._location
        given = str(conninfo_to_dict(libpq_url).get("options") or "")
        return make_conninfo(libpq_url, **_TIMEOUTS, options=f"{given} {options}".strip())
