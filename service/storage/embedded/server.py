"""One running Postgres server: started, watched, brought back when it dies, stopped."""

import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path

import psycopg
import structlog

from service.storage.embedded.binaries import Binaries
from service.storage.embedded.cluster import Cluster
from service.storage.embedded.errors import EmbeddedPostgresError
from service.storage.embedded.folders import open_socket_dir
from service.storage.embedded.log_file import open_log, read_tail, trim_log
from service.storage.embedded.processes import end_leftovers

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "restart_after_crash": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    # Statements and details of errors hold users' values.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}

_WATCH_SECONDS = 0.2
_POLL_SECONDS = 0.02
# Recovery after a crash replays up to max_wal_size; a slow disk may take minutes.
_READY_SECONDS = 600.0
_FAST_SECONDS = 60.0
_IMMEDIATE_SECONDS = 10.0
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 30.0
_STABLE_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Server:
    """Keeps a Postgres server running on a cluster from `start` to `stop`.

    One thread starts, watches and stops the process: Linux sends a child the signal of its
    parent's death when the *thread* that made it ends. `start` and `stop` are called once each,
    from any thread.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        binaries: Binaries,
        log_file: Path,
        settings: Mapping[str, str],
    ) -> None:
        self.socket_dir = open_socket_dir(cluster.folder.parent, cluster.account)
        self._cluster = cluster
        self._binaries = binaries
        self._log_file = log_file
        self._settings = settings
        self._started: Future[None] = Future()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded-postgres", daemon=True)

    def start(self) -> None:
        """Return as soon as the server accepts connections.

        Raises:
            EmbeddedPostgresError: It did not come up; the message ends with what it said.
        """
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """End the server: a fast shutdown, and an immediate one when that takes too long."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            process = self._launch_until_ready()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(None)
        _stop_process(self._keep_running(process))
        end_leftovers(self._cluster)

    def _launch_until_ready(self) -> subprocess.Popen[bytes]:
        end_leftovers(self._cluster)
        open_socket_dir(self._cluster.folder.parent, self._cluster.account)
        process = self._launch()
        try:
            self._wait_until_ready(process)
        except BaseException:
            _stop_process(process)
            raise
        return process

    def _keep_running(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Watch and restart until told to stop; return the process that is then the latest."""
        delay = _FIRST_DELAY_SECONDS
        launched = time.monotonic()
        while not self._stopping.wait(_WATCH_SECONDS):
            trim_log(self._log_file)
            if process.poll() is None:
                continue
            log.error("postgres.died", exit_code=process.returncode)
            if time.monotonic() - launched > _STABLE_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            if self._stopping.wait(delay):
                break
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)
            launched = time.monotonic()
            process = self._relaunch(process)
        return process

    def _relaunch(self, dead: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        try:
            process = self._launch_until_ready()
        except (EmbeddedPostgresError, OSError) as error:
            log.error("postgres.restart_failed", reason=str(error))
            return dead
        log.warning("postgres.restarted", pid=process.pid)
        return process

    def _launch(self) -> subprocess.Popen[bytes]:
        with open_log(self._log_file) as log_stream:
            return subprocess.Popen(  # noqa: S603 (our own program, no shell)
                self._cluster.account.build_command(*self._command),
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log_stream,
                stderr=log_stream,
                umask=0o077,
                # Out of reach of the terminal's Ctrl-C, which is for the service to handle.
                start_new_session=True,
            )

    @property
    def _command(self) -> list[str]:
        settings = {
            **_SETTINGS,
            "unix_socket_directories": str(self.socket_dir),
            "cluster_name": self._cluster.name,
            **self._settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._binaries.postgres), "-D", str(self._cluster.folder), *options]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        url = self._cluster.build_url(self.socket_dir, "postgres")
        deadline = time.monotonic() + _READY_SECONDS
        while not accepts_connections(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"Postgres did not start on {self._cluster.folder}. The end of its log "
                    f"{self._log_file}:\n{read_tail(self._log_file, lines=10)}"
                )
            if self._stopping.wait(_POLL_SECONDS):
                raise EmbeddedPostgresError("Postgres was stopped while it started.")


def accepts_connections(url: str) -> bool:
    """Whether a server answers at `url`.

    Raises:
        EmbeddedPostgresError: It does, but not to this password.
    """
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise EmbeddedPostgresError(
                "The embedded Postgres refuses the password in the data directory's file "
                "`postgres/password`. Restore the file that belongs to these data."
            ) from None
        return False
    return True


def _stop_process(process: subprocess.Popen[bytes]) -> None:
    for number, seconds in ((signal.SIGINT, _FAST_SECONDS), (signal.SIGQUIT, _IMMEDIATE_SECONDS)):
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("postgres.stop_timed_out", signal=number.name, seconds=seconds)
        else:
            return
    process.kill()
    process.wait()
