"""docker-compose.yml, docker-compose.secrets.yml and Dockerfile, without Docker.

Each service's command, environment and health check run as plain processes. Only what containers
have of their own is substituted: addresses, folders, and the programs of the image.
"""

import json
import os
import re
import shlex
import shutil
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
from tests.this_machine import find_free_port

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")


def read_compose(name: str) -> dict[str, Any]:
    """The file as it is where no variable is set."""
    document: dict[str, Any] = yaml.safe_load(VARIABLE.sub(r"\1", (ROOT / name).read_text()))
    return document


COMPOSE = read_compose("docker-compose.yml")
SERVICES: dict[str, Any] = COMPOSE["services"]
SECRETS = read_compose("docker-compose.secrets.yml")
OURS = {name for name, service in SERVICES.items() if service["image"] != "postgres:17"}
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


def read_stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages, each with the stages of ours that it is built on."""
    stages: dict[str, list[tuple[str, str]]] = {}
    for instruction in DOCKERFILE:
        if instruction[0] == "FROM":
            base, _, name = instruction[1].split()
            stages[name] = list(stages.get(base, []))
        stages[name].append(instruction)
    return stages


STAGES = read_stages()


def test_image_needs_no_other_image_or_newer_builder() -> None:
    text = (ROOT / "Dockerfile").read_text()

    assert not [line for line in text.splitlines() if line.replace(" ", "").startswith("#syntax")]
    assert "<<" not in text
    assert "--mount" not in text
    bases = {arguments.split()[0] for name, arguments in DOCKERFILE if name == "FROM"}
    assert bases - set(STAGES) == {"python:3.12-slim"}
    assert list(STAGES)[-1] == "server", "what `docker build` makes when nobody says what"


@pytest.mark.parametrize("name", sorted(OURS))
def test_image_runs_as_a_user_that_owns_its_volumes(name: str) -> None:
    stage = STAGES[SERVICES[name]["build"]["target"]]
    user = dict(stage)["USER"]
    (made,) = [rest for kind, rest in stage if kind == "RUN" and "useradd" in rest]
    _, _, owned = made.partition(f"--owner {user} --group {user} --mode 0700")

    assert user not in ("root", "0")
    assert dict(stage)["ENTRYPOINT"] == json.dumps(["asktell"])
    for volume, folder, *_ in (mount.split(":") for mount in SERVICES[name].get("volumes", [])):
        assert volume.startswith("./") or folder in owned.split()
    assert IMAGE_ENVIRONMENT["ASKTELL_DATA_DIR"] in owned.split()


def test_files_of_the_build_reach_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]

    assert ignored[0] == "*"
    assert set(kept) >= {"constraints.txt", "pyproject.toml", "migrations", "sdk", "service"}
    assert all((ROOT / name).exists() for name in kept)


def test_nothing_is_to_fill_in_and_only_this_machine_is_let_in() -> None:
    assert "$" not in VARIABLE.sub("", (ROOT / "docker-compose.yml").read_text())
    assert [service["ports"] for service in SERVICES.values() if "ports" in service] == [
        ["127.0.0.1:8700:8700"]
    ]
    named = {mount.split(":")[0] for s in SERVICES.values() for mount in s.get("volumes", [])}
    assert named == {*COMPOSE["volumes"], "./examples"}


def test_what_runs_for_long_is_bounded_and_started_again() -> None:
    lasting = {name for name, each in SERVICES.items() if each["restart"] != "no"}

    assert lasting == {"postgres", "server", "worker"}
    for name in lasting:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert set(SERVICES[name]["deploy"]["resources"]["limits"]) == {"memory", "pids"}
    for name in OURS:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_the_worker_has_no_token_but_its_own() -> None:
    worker = SERVICES["worker"]

    assert not any(mount.startswith("data:") for mount in worker["volumes"])
    assert "ASKTELL_DATABASE_URL" not in worker["environment"]
    networks = {name: set(each.get("networks", ["default"])) for name, each in SERVICES.items()}
    assert not networks["worker"] & networks["postgres"]
    assert networks["worker"] & networks["server"]
    folder, _, file = worker["environment"]["ASKTELL_TOKEN_FILE"].rpartition("/")
    assert f"worker-token:{folder}:ro" in worker["volumes"]
    assert SERVICES["worker-token"]["command"][-1] == f"{folder}/{file}"


def test_services_agree_on_the_database() -> None:
    postgres = SERVICES["postgres"]
    check = postgres["healthcheck"]["test"]
    for name in ("migrate", "server"):
        assert "ASKTELL_DATABASE_URL_FILE" in SECRETS["services"][name]["environment"]
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

    order = ["postgres", "migrate", "server", "worker-token", "worker"]
    assert list(TopologicalSorter(needs).static_order()) == order
    assert needs["migrate"] == {"postgres": {"condition": "service_healthy"}}
    assert needs["server"]["migrate"] == {"condition": "service_completed_successfully"}
    assert needs["worker-token"] == {"server": {"condition": "service_healthy"}}
    assert needs["worker"] == {"worker-token": {"condition": "service_completed_successfully"}}


def test_secrets_are_files_that_the_script_makes(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "make-secrets", tmp_path / "scripts")
    subprocess.run([script], check=True, capture_output=True)
    made = {path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
    subprocess.run([script], check=True, capture_output=True)

    named = {name: Path(secret["file"]).name for name, secret in SECRETS["secrets"].items()}
    assert set(named.values()) == set(made)
    assert {
        path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()
    } == made
    assert urlsplit(made["database_url"]).password == made["postgres_password"]
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    for name, service in SECRETS["services"].items():
        for secret in service["secrets"]:
            variables = service["environment"]
            assert f"/run/secrets/{named[secret]}" in variables.values()
        for variable, value in service["environment"].items():
            # Where there is a file the base file's own value is taken back.
            bare = variable.removesuffix("_FILE")
            is_given = bare in SERVICES[name].get("environment", {})
            assert not value or not is_given or variables[bare] == ""


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

        with machine.running("server") as server:
            machine.wait_until("server", healthy=True)
            assert_programs_get_in(machine)
            assert_browsers_get_in(machine)
            assert_the_worker_gets_in(machine)
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


def assert_the_worker_gets_in(machine: "Machine") -> None:
    for _ in range(2):
        made = machine.run("worker-token")
        assert made.returncode == 0, made.stderr
    with machine.running("worker"):
        machine.wait_until_it_is_known("worker-in-compose")


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
    def running(self, service: str) -> Iterator[subprocess.Popen[str]]:
        """A service until the signal that `docker stop` sends."""
        with (self.folder / f"{service}.log").open("w") as log:
            process = subprocess.Popen(
                self._build_command(service),
                env=self._build_environment(service),
                stdout=log,
                text=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(DEADLINE_SECONDS)

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

    def wait_until_it_is_known(self, worker: str) -> None:
        headers = {"Authorization": f"Bearer {(self.data_dir / 'token').read_text().strip()}"}
        deadline = time.monotonic() + DEADLINE_SECONDS
        while worker not in httpx.get(f"{self.address}/workers", headers=headers).text:
            assert time.monotonic() < deadline, (self.folder / "worker.log").read_text()
            time.sleep(0.1)

    def _build_command(self, service: str, command: list[str] | None = None) -> list[str]:
        assert ENTRYPOINT == ["asktell"]
        stage = dict(STAGES[SERVICES[service]["build"]["target"]])
        given = command or SERVICES[service].get("command") or json.loads(stage["CMD"])
        substituted = [self._translate(part) for part in given]
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
        if service == "worker":
            given["ASKTELL_WORKER_NAME"] = "worker-in-compose"
        return {name: self._translate(value) for name, value in given.items()}

    def _translate(self, text: str) -> str:
        """Addresses and folders of containers as they are on this machine."""
        if text == "0.0.0.0":
            return "127.0.0.1"
        places = {
            "http://server:8700": self.address,
            "/var/lib/asktell-worker": str(self.folder),
            "/run/asktell-worker": str(self.folder),
            "/var/lib/asktell": str(self.data_dir),
        }
        for place, here in places.items():
            text = text.replace(place, here)
        return text


def find_pg_isready() -> Path:
    return find_binaries().postgres.with_name("pg_isready")
