"""A machine on which `asktell serve` runs, and somebody follows a page word for word."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import yaml
from typer.testing import CliRunner

from service.cli.main import app
from service.storage.database import Database
from service.storage.embedded import find_running_postgres
from service.storage.embedded.binaries import find_binaries
from tests.acceptance.browser import poll
from tests.docs.blocks import BESIDE, ROOT, SPACE, Block, read_blocks
from tests.docs.interpreter import Python, Shell, end_group
from tests.this_machine import find_free_port

_POSTGRES = find_binaries().postgres.parent
_START_SECONDS = 240
_MOST_TRIALS = 2
_NUMBER = r"-?\d[\d,.:e-]*"


class Machine:
    """The server's settings, and what replaces an example's words.

    Args:
        slots: Of the worker inside the server.
    """

    def __init__(self, data_dir: Path, *, slots: int) -> None:
        self.data_dir = data_dir
        self._slots = slots
        self._port = find_free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        return (self.data_dir / "token").read_text().strip()

    @property
    def database(self) -> Database:
        url = find_running_postgres(self.data_dir)
        assert url is not None
        return Database(url)

    @property
    def environ(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ASKTELL_", "WANDB_", "VIRTUAL_ENV", "CONDA_"))
        }
        return {
            **inherited,
            # The machine's own pg_dump may be too old for this Postgres.
            "PATH": f"{Path(sys.executable).parent}:{_POSTGRES}:{os.environ['PATH']}",
            "ASKTELL_DATA_DIR": str(self.data_dir),
            "ASKTELL_PORT": str(self._port),
            "ASKTELL_WORKER": str(self._slots),
            "ASKTELL_WORKER_EXECUTORS": "process",
            "ASKTELL_DASHBOARD": "false",
            # Not every kernel that the tests meet can contain it.
            "ASKTELL_USER_CODE": "uncontained",
            "WANDB_CACHE_DIR": str(self.data_dir / "wandb-cache"),
            "WANDB_ERROR_REPORTING": "false",
        }

    def adapt(self, text: str) -> str:
        """The same with this server's address and database, and with fewer trials than ten."""
        text = text.replace("http://127.0.0.1:8700", self.url)
        text = text.replace("//USER:PASSWORD@HOST/DATABASE", self._build_database_url("asktell"))
        text = text.replace("//USER:PASSWORD@HOST/restored", self._build_database_url("restored"))
        return re.sub(r"--trials \d\d+", f"--trials {_MOST_TRIALS}", text)

    def _build_database_url(self, name: str) -> str:
        """Without its scheme, which may name a driver."""
        url = urlsplit(self.database.url)._replace(path=f"/{name}").geturl()
        return url.removeprefix("postgresql:")

    @contextmanager
    def serving(self) -> Iterator[None]:
        (self.data_dir / "address").unlink(missing_ok=True)
        with (self.data_dir / "log").open("wb") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "service.cli.main", "serve"],
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        try:
            poll(
                (self.data_dir / "address").exists,
                what="the server's address",
                within_seconds=_START_SECONDS,
            )
            yield
        finally:
            server.terminate()
            server.wait(_START_SECONDS)

    def check_space(self, name: str, text: str) -> None:
        body = f'{{"name": "{name}", "direction": "minimize", "space": {text}}}'
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        answer = httpx.post(f"{self.url}/studies", content=body, headers=headers)
        assert answer.is_success, answer.text


class Reader:
    """Somebody who follows one page.

    Args:
        folder: Where it is done; the examples are there.
    """

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self._folder = folder
        shutil.copytree(ROOT / "examples", folder / "examples")
        (folder / ".asktell").symlink_to(machine.data_dir)
        self._shell = Shell(folder, machine.environ)
        self._python = Python(folder, machine.environ)
        self._beside: list[subprocess.Popen[str]] = []
        self._blocks = folder / ".blocks"
        self._blocks.mkdir()

    def follow(self, page: Path) -> None:
        for block in read_blocks(page):
            if block.is_run:
                self._follow_block(block)

    def close(self) -> None:
        self._shell.close()
        self._python.close()
        for process in self._beside:
            end_group(process)

    def _follow_block(self, block: Block) -> None:
        text = self.machine.adapt(block.text)
        file = self._blocks / f"{block.line}.{block.kind}"
        if block.file_name:
            file = self._folder / block.file_name
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if block.kind == "yaml":
            check_sweep_file(file, block.place)
        elif block.note == SPACE:
            self.machine.check_space(block.place.replace("/", " "), text)
        elif not block.file_name:
            self._run(block, file)

    def _run(self, block: Block, file: Path) -> None:
        if block.note == BESIDE:
            self._beside.append(self._start(file))
        elif block.kind == "sh":
            self._shell.run_file(file)
        elif block.kind == "python":
            self._python.run_file(file, line=block.line, page=block.page)
        elif block.kind == "console":
            for command, shown in split_console(file.read_text()):
                file.write_text(command)
                check_shown(shown, self._shell.run_file(file), block.place)

    def _start(self, file: Path) -> subprocess.Popen[str]:
        with file.with_suffix(".log").open("w") as log:
            return subprocess.Popen(
                ["sh", "-eu", file],
                cwd=self._folder,
                env=self.machine.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )


def check_sweep_file(file: Path, place: str) -> None:
    checked = CliRunner().invoke(app, ["sweep", "check", str(file)])
    assert checked.exit_code == 0, f"{place}: {checked.output}"


def check_yaml(text: str) -> None:
    list(yaml.safe_load_all(text))


def split_console(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command with the lines that are shown of what it prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *shown = part.replace("\\\n", " ").splitlines()
        yield command + "\n", shown


def check_shown(shown: list[str], printed: str, place: str) -> None:
    """Lines are there in their order; numbers may be others, and `…` is anything."""
    rest = iter(printed.splitlines())
    for expected in filter(str.strip, shown):
        pattern = _build_pattern(expected)
        assert any(pattern.fullmatch(" ".join(line.split())) for line in rest), (
            f"{place}: {expected!r} is not in its place in\n{printed}"
        )


def _build_pattern(line: str) -> re.Pattern[str]:
    parts = re.split(rf"(…|{_NUMBER})", " ".join(line.split()))
    written = (
        re.escape(part) if place % 2 == 0 else _widen(part) for place, part in enumerate(parts)
    )
    return re.compile("".join(written))


def _widen(part: str) -> str:
    return ".*" if part == "…" else _NUMBER
