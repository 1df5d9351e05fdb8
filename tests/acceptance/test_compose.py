"""docker-compose.yml and Dockerfile, without Docker.

Each service's command, environment and health check run as plain processes. Only what containers
have of their own is substituted: addresses, folders, and the programs of the image.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from service.storage.embedded import open_embedded_postgres
from service.storage.embedded.binaries import find_binaries

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DEADLINE_SECONDS = 60

pytestmark = pytest.mark.timeout(180)


def read_dockerfile() -> list[tuple[str, str]]:
    """Instructions with their arguments; continued lines are joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [
        (line.split()[0], line.split(maxsplit=1)[1])
        for line in lines
        if line and not line.startswith("#")
    ]


DOCKERFILE = read_dockerfile()
ENTRYPOINT = json.loads(dict(DOCKERFILE)["ENTRYPOINT"])
HEALTHCHECK = json.loads(dict(DOCKERFILE)["HEALTHCHECK"].split("CMD", 1)[1])
IMAGE_ENVIRONMENT = dict(part.split("=", 1) for part in shlex.split(dict(DOCKERFILE)["ENV"]))


def test_image_needs_no_other_image_or_newer_builder() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert not [line for line in text.splitlines() if line.replace(" ", "").startswith("#syntax")]
    assert "<<" not in text
    assert "--mount" not in text
    bases = [arguments.split()[0] for name, arguments in DOCKERFILE if name == "FROM"]
    assert set(bases) == {"python:3.12-slim"}


def test_image_runs_as_a_user_that_owns_its_data() -> None:
    *_, last_stage = [index for index, (name, _) in enumerate(DOCKERFILE) if name == "FROM"]
    stage = DOCKERFILE[last_stage:]
    user = dict(stage)["USER"]

    assert user not in ("root", "0")
    assert any(name == "RUN" and f"--owner {user}" in rest for name, rest in stage)
    assert ENTRYPOINT == ["asktell"]
    mounts = dict(mount.split(":") for mount in SERVICES["server"]["volumes"])
    assert mounts["data"] == IMAGE_ENVIRONMENT["ASKTELL_DATA_DIR"]


def test_files_of_the_build_reach_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]

    assert ignored[0] == "*"
    assert set(kept) >= {"constraints.txt", "pyproject.toml", "migrations", "sdk", "service"}
    assert all((ROOT / name).exists() for name in kept)


def test_nothing_is_to_fill_in_and_only_this_machine_is_let_in() -> None:
    assert "$" not in (ROOT / "docker-compose.yml").read_text()
    assert [service["ports"] for service in SERVICES.values() if "ports" in service] == [
        ["127.0.0.1:8700:8700"]
    ]
    named = {mount.split(":")[0] for s in SERVICES.values() for mount in s.get("volumes", [])}
    assert named == set(COMPOSE["volumes"])


def test_services_agree_on_the_database() -> None:
    postgres = SERVICES["postgres"]
    check = postgres["healthcheck"]["test"]
    for name in ("migrate", "server"):
        url = urlsplit(SERVICES[name]["environment"]["ASKTELL_DATABASE_URL"])
        assert url.hostname == "postgres"
        assert url.username == postgres["environment"]["POSTGRES_USER"]
        assert url.password == postgres["environment"]["POSTGRES_PASSWORD"]
        assert url.path == f"/{postgres['environment']['POSTGRES_DB']}"
        assert check[check.index("-U") + 1] == url.username
        assert check[check.index("-d") + 1] == url.path[1:]
    assert postgres["image"] == "postgres:17"
    assert postgres["volumes"] == ["postgres:/var/lib/postgresql/data"]


def test_services_start_in_order() -> None:
    needs = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}

    assert list(TopologicalSorter(needs).static_order()) == ["postgres", "migrate", "server"]
    assert needs["migrate"] == {"postgres": {"condition": "service_healthy"}}
    assert needs["server"]["migrate"] == {"condition": "service_completed_successfully"}


def test_server_refuses_to_start_before_the_migration(machine: "Machine") -> None:
    with machine.running_postgres():
        too_early = machine.run("server")

    assert too_early.returncode == 1
    assert "asktell db upgrade" in too_early.stderr


def test_services_work_together(machine: "Machine") -> None:
    assert not machine.is_healthy("postgres")
    assert not machine.is_healthy("server")
    with ExitStack() as database:
        database.enter_context(machine.running_postgres())
        machine.wait_until("postgres", healthy=True)
        migrated = machine.run("migrate")
        assert migrated.returncode == 0, migrated.stderr

        with machine.running_server() as server:
            machine.wait_until("server", healthy=True)
            assert_programs_get_in(machine)
            assert_browsers_get_in(machine)
            database.close()
            machine.wait_until("server", healthy=False)
            database.enter_context(machine.running_postgres())
            machine.wait_until("server", healthy=True)
        assert server.returncode == 0


def assert_programs_get_in(machine: "Machine") -> None:
    token = (machine.data_dir / "token").read_text().strip()
    for host in ("127.0.0.1:8700", "server:8700"):
        headers = {"Authorization": f"Bearer {token}", "Host": host}
        assert httpx.get(f"{machine.address}/studies", headers=headers).status_code == 200
    headers["Host"] = "elsewhere.example"
    assert httpx.get(f"{machine.address}/studies", headers=headers).status_code == 421


def assert_browsers_get_in(machine: "Machine") -> None:
    """By what `docker compose exec server asktell login-link` prints."""
    printed = machine.run("server", command=["login-link"])
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.startswith(f"{machine.address}/login/")
    assert httpx.get(printed.stdout.strip()).status_code == 303


@pytest.fixture
def machine(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> "Machine":
    made = Machine(open_folder, postgres_port=find_free_port(), server_port=find_free_port())
    # The URL of the embedded Postgres names no port.
    monkeypatch.setenv("PGPORT", str(made.postgres_port))
    return made


@dataclass(slots=True)
class Machine:
    """Runs what the containers would run, on ports and folders of its own."""

    folder: Path
    postgres_port: int
    server_port: int
    database_url: str = ""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @contextmanager
    def running_postgres(self) -> Iterator[None]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.postgres_port),
            "fsync": "off",
        }
        with open_embedded_postgres(
            self.folder / "postgres", settings=settings, system_dir=self.folder / "system"
        ) as postgres:
            user_and_password = urlsplit(postgres.url).netloc.rpartition("@")[0]
            host = f"127.0.0.1:{self.postgres_port}"
            self.database_url = f"postgresql://{user_and_password}@{host}/asktell"
            yield

    @contextmanager
    def running_server(self) -> Iterator[subprocess.Popen[str]]:
        """The service until the signal that `docker stop` sends."""
        with (self.folder / "server.log").open("w") as log:
            server = subprocess.Popen(
                self._build_command("server"),
                env=self._build_environment("server"),
                stdout=log,
                text=True,
            )
        try:
            yield server
        finally:
            server.terminate()
            server.wait(DEADLINE_SECONDS)

    def run(
        self, service: str, command: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a service's command, or another in its environment, to its end."""
        return subprocess.run(
            self._build_command(service, command),
            env=self._build_environment(service),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )

    def is_healthy(self, service: str) -> bool:
        test = SERVICES[service].get("healthcheck", {}).get("test", ["CMD", *HEALTHCHECK])
        assert test[0] == "CMD"
        programs = {"python": sys.executable, "pg_isready": str(find_pg_isready())}
        command = [programs[test[1]], *test[2:]]
        environment = self._build_environment(service)
        check = subprocess.run(command, env=environment, capture_output=True, timeout=30)
        return check.returncode == 0

    def wait_until(self, service: str, *, healthy: bool) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.is_healthy(service) is not healthy:
            assert time.monotonic() < deadline, f"{service} did not become {healthy=}"
            time.sleep(0.1)

    def _build_command(self, service: str, command: list[str] | None = None) -> list[str]:
        assert ENTRYPOINT == ["asktell"]
        given = command or SERVICES[service]["command"]
        substituted = ["127.0.0.1" if part == "0.0.0.0" else part for part in given]
        return [sys.executable, "-m", "service.cli.main", *substituted]

    def _build_environment(self, service: str) -> dict[str, str]:
        given = {**IMAGE_ENVIRONMENT, **SERVICES[service]["environment"]}
        given.update(
            PATH=os.defpath,
            PGPORT=str(self.postgres_port),
            ASKTELL_DATA_DIR=str(self.data_dir),
            ASKTELL_PORT=str(self.server_port),
        )
        if "ASKTELL_DATABASE_URL" in given:
            given["ASKTELL_DATABASE_URL"] = self.database_url
        return given


def find_pg_isready() -> Path:
    return find_binaries().postgres.with_name("pg_isready")


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
