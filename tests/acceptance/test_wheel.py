"""Built wheels, installed where there is no checkout, hold all they need and run."""

import os
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

from service.storage.database import Database

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The built wheels by the name of their distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT / "sdk", ROOT):
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
        subprocess.run([*build, project], check=True, capture_output=True)
    return {wheel.name.split("-")[0]: wheel for wheel in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs folder of an environment that has the wheels and nothing of this checkout."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment)
    programs = environment / "bin"
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "-qq"]
    # Most of what is installed is never imported: to compile it all takes the longest.
    options = ["--no-compile", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, *options, *wheels.values()], check=True, cwd=environment)
    return programs


def test_server_wheel_holds_everything(wheels: dict[str, Path]) -> None:
    names = zipfile.ZipFile(wheels["asktell_server"]).namelist()

    assert "service/py.typed" in names
    assert "service/_migrations/env.py" in names
    assert {path.name for path in (ROOT / "migrations" / "versions").glob("*.py")} == {
        Path(name).name for name in names if name.startswith("service/_migrations/versions/")
    }
    for folder in ("templates", "static"):
        expected = (ROOT / "service" / "web" / folder).rglob("*.*")
        assert {path.relative_to(ROOT).as_posix() for path in expected} <= set(names)
    assert {"service/_demo/sweep.yaml", "service/_demo/train.py"} <= set(names)
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert not [name for name in names if name.startswith(("tests", "sdk", "benchmarks"))]


def test_sdk_wheel_holds_everything(wheels: dict[str, Path]) -> None:
    names = zipfile.ZipFile(wheels["asktell"]).namelist()

    assert "asktell/py.typed" in names
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_installed_service_migrates_and_serves(
    installed: Path, empty_database: Database, tmp_path: Path
) -> None:
    environment = {
        "PATH": os.defpath,
        "ASKTELL_DATABASE_URL": empty_database.url,
        "ASKTELL_DATA_DIR": str(tmp_path / "data"),
        "ASKTELL_PORT": "0",
    }

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        # Another folder than the checkout, which would be imported from otherwise.
        return subprocess.Popen([installed / "asktell", *arguments], env=environment, cwd=tmp_path)

    assert start("db", "check").wait() == 1
    assert start("db", "upgrade").wait() == 0
    assert start("db", "check").wait() == 0
    server = start("serve")
    try:
        address = wait_for_address(tmp_path / "data" / "address", server)
        assert httpx.get(f"{address}/readyz").status_code == 200
    finally:
        server.terminate()
        assert server.wait() == 0


def test_installed_demo_finds_its_program_and_says_what_it_lacks(
    installed: Path, tmp_path: Path
) -> None:
    find = "from service.cli.demo.command import find_sweep_file; print(find_sweep_file())"

    def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.defpath, "ASKTELL_DATA_DIR": str(tmp_path / "data")}
        return subprocess.run(
            [installed / program, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    found = Path(run("python", "-c", find).stdout.strip())
    assert found.is_relative_to(installed.parent)
    assert (found.parent / "train.py").exists()
    refused = run("asktell", "demo")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "pip install 'asktell-server[demo]'" in refused.stderr


def wait_for_address(file: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert server.poll() is None, "the server did not start"
        assert time.monotonic() < deadline, "the server did not become ready"
        time.sleep(0.05)
    return file.read_text().strip()
