"""The real server in a process of its own, and a proxy in front of it that loses answers."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asktell


class ServerProcess:
    """`asktell serve` on a loopback port that stays the same over restarts."""

    def __init__(self, database_url: str, data_dir: Path) -> None:
        self.url = ""
        self._database_url = database_url
        self._data_dir = data_dir
        self._process: subprocess.Popen[str] | None = None

    @property
    def token(self) -> str:
        return (self._data_dir / "token").read_text().strip()

    @property
    def environ(self) -> dict[str, str]:
        """What a user's program needs to find the server."""
        return {**os.environ, "ASKTELL_URL": self.url, "ASKTELL_DATA_DIR": str(self._data_dir)}

    def start(self) -> None:
        """Starts it and returns when it is ready."""
        port = urlsplit(self.url).port or 0
        options = ["--port", str(port), "--data-dir", str(self._data_dir)]
        log = (self._data_dir / "server.log").open("a")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "service.cli.main", "serve", *options],
                env={
                    **os.environ,
                    "ASKTELL_DATABASE_URL": self._database_url,
                    "ASKTELL_USER_CODE": "uncontained",
                },
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = self._wait_until_ready(self._process)

    def kill(self) -> None:
        """Ends it without a chance to say goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends it as an operator would."""
        self._end(signal.SIGTERM)

    def open_client(self, **options: Any) -> asktell.Client:
        return asktell.Client(self.url, self.token, **options)

    def _wait_until_ready(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        for line in process.stdout:
            if "is ready at" in line:
                return line.split()[-1]
        log = (self._data_dir / "server.log").read_text()
        raise AssertionError(f"The server ended with {process.wait()}:\n{log}")

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class LossyProxy:
    """Passes bytes on, but drops connections instead of handing over the answers it is told to."""

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        assert target.hostname is not None
        assert target.port is not None
        self._target = (target.hostname, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._answers_to_lose = 0
        self.lost_answers = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def lose_answers(self, count: int) -> None:
        """The next `count` answers arrive here and go no further."""
        self._answers_to_lose = count

    def run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake up a thread in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            back = threading.Thread(target=self._pass_answers, args=(server, client), daemon=True)
            back.start()
            _pass_bytes(client, server)
            _shut_down(server)
            back.join()

    def _pass_answers(self, server: socket.socket, client: socket.socket) -> None:
        while chunk := _receive(server):
            if self._takes_loss():
                break
            client.sendall(chunk)
        _shut_down(client)

    def _takes_loss(self) -> bool:
        with self._lock:
            if self._answers_to_lose == 0:
                return False
            self._answers_to_lose -= 1
            self.lost_answers += 1
            return True


@contextmanager
def open_lossy_proxy(target_url: str) -> Iterator[LossyProxy]:
    proxy = LossyProxy(target_url)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()


def _pass_bytes(source: socket.socket, target: socket.socket) -> None:
    while chunk := _receive(source):
        try:
            target.sendall(chunk)
        except OSError:
            return


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def _shut_down(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
