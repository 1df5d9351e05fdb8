"""Find the embedded Postgres that a service is running, to look at its data beside it."""

from pathlib import Path

from service.storage.embedded.account import choose_account
from service.storage.embedded.cluster import DATABASE, Cluster
from service.storage.embedded.folders import find_recorded_home
from service.storage.embedded.server import accepts_connections


def find_running_postgres(data_dir: Path) -> str | None:
    """Return a URL for the Postgres of another process on `data_dir`; None if there is none.

    It holds the password, and is good for as long as that process runs.

    Raises:
        EmbeddedPostgresError: The data directory is damaged.
    """
    service_dir = data_dir.resolve() / "postgres"
    home = find_recorded_home(service_dir) or service_dir
    folder, socket_dir = home / "cluster", (home / "socket").resolve()
    try:
        if not any(socket_dir.iterdir()):
            return None
        password = (service_dir / "password").read_text().strip()
    except (FileNotFoundError, PermissionError):
        # Whoever opens it for themselves is told what is wrong, if anything is.
        return None
    url = Cluster(folder, choose_account(folder), password).build_url(socket_dir, DATABASE)
    return url if accepts_connections(url) else None
