"""What goes wrong before there is a database."""


class EmbeddedPostgresError(RuntimeError):
    """The embedded Postgres cannot run here; the message says what to do about it."""
