"""The embedded Postgres and the folders, files, users and programs that it finds."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from service.storage.embedded import (
    EmbeddedPostgresError,
    open_embedded_postgres,
)
from service.storage.embedded.account import SYSTEM_USER
from service.storage.embedded.binaries import copy_binaries, find_binaries
from tests.integration.embedded_owner import (
    find_python_for,
    find_socket_dir,
    kill_owner,
    list_postmasters,
    open_in,
    query,
    read_notes,
    read_url,
    run_owner,
    wait_for,
    write_note,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
NOBODY = 65534
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to run things as other users"
)


def test_a_lost_password_file_is_named(used_folder: Path) -> None:
    with open_in(used_folder):
        pass
    (used_folder / "data/postgres/password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="password is gone"), open_in(used_folder):
        pass


def test_a_wrong_password_file_is_named(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        pass
    (used_folder / "data/postgres/password").write_text("wrong")
    with pytest.raises(EmbeddedPostgresError, match="refuses the password"), open_in(used_folder):
        pass
    assert list_postmasters(server.cluster_dir) == []


def test_a_server_that_cannot_start_says_why(open_folder: Path) -> None:
    settings = {"shared_buffers": "nonsense"}
    with (
        pytest.raises(EmbeddedPostgresError, match="invalid value for parameter"),
        open_embedded_postgres(
            open_folder / "data", settings=settings, system_dir=open_folder / "system"
        ),
    ):
        pass


def test_a_cluster_of_another_postgres_version_is_refused(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        pass
    (server.cluster_dir / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="made by Postgres 16"), open_in(used_folder):
        pass


@pytest.mark.parametrize("name", ["n" * 120, "with, comma", "with 'quotes' and ünïcode %20"])
def test_a_data_directory_may_have_any_name(open_folder: Path, name: str) -> None:
    (open_folder / name).mkdir(mode=0o711)
    for _ in range(2):
        with open_in(open_folder / name) as server:
            socket_dir = find_socket_dir(server)
            assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
            assert len(bytes(socket_dir)) < 90
        assert not socket_dir.exists()


def test_a_moved_data_directory_keeps_its_data(used_folder: Path) -> None:
    with open_in(used_folder) as server:
        write_note(server, "kept")
    (used_folder / "after").mkdir(mode=0o711)
    (used_folder / "data").rename(used_folder / "after" / "data")
    with open_in(used_folder / "after") as server:
        assert read_notes(server) == ["kept"]


def test_folders_that_were_there_keep_their_modes(open_folder: Path) -> None:
    modes = {"a": 0o751, "a/b": 0o755, "a/b/data": 0o777}
    for name, mode in modes.items():
        (open_folder / name).mkdir()
        (open_folder / name).chmod(mode)
    with open_in(open_folder / "a/b"):
        pass
    found = {name: stat.S_IMODE((open_folder / name).stat().st_mode) for name in modes}
    assert found == modes
    assert stat.S_IMODE(open_folder.stat().st_mode) == 0o711


@needs_root
def test_root_keeps_out_of_a_folder_that_postgres_cannot_reach(open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    system_dir = open_folder / "system"
    for notes in (["first"], ["first", "second"]):
        with open_embedded_postgres(private / "data", system_dir=system_dir) as server:
            write_note(server, notes[-1])
            assert read_notes(server) == notes
            assert server.cluster_dir.is_relative_to(system_dir)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert (private / "data/postgres/location").read_text().strip() in str(server.cluster_dir)
    assert not list((private / "data/postgres").glob("cluster"))


@needs_root
def test_a_copied_data_directory_does_not_share_a_running_cluster(open_folder: Path) -> None:
    for name in ("original", "copy"):
        (open_folder / name).mkdir(mode=0o700)
    system_dir = open_folder / "system"
    with open_embedded_postgres(open_folder / "original", system_dir=system_dir):
        copied = open_folder / "copy" / "postgres"
        copied.mkdir()
        for name in ("location", "password"):
            text = (open_folder / "original" / "postgres" / name).read_text()
            (copied / name).write_text(text)
        with (
            pytest.raises(EmbeddedPostgresError, match="Another service"),
            open_embedded_postgres(open_folder / "copy", system_dir=system_dir),
        ):
            pass


@needs_root
def test_a_system_folder_that_is_gone_is_named(open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    with open_embedded_postgres(private, system_dir=open_folder / "system") as server:
        pass
    server.cluster_dir.parent.rename(open_folder / "elsewhere")
    with (
        pytest.raises(EmbeddedPostgresError, match="that folder is gone"),
        open_embedded_postgres(private, system_dir=open_folder / "system"),
    ):
        pass


@needs_root
def test_root_copies_programs_that_postgres_cannot_reach(
    used_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = used_folder / "private"
    private.mkdir(mode=0o700)
    unreachable = copy_binaries(find_binaries(), private)
    (unreachable.install_dir.parent / "__init__.py").write_text("raise ImportError('executed')")
    monkeypatch.syspath_prepend(unreachable.site_dir)
    assert find_binaries().site_dir == unreachable.site_dir
    with open_in(used_folder) as server:
        (postmaster,) = list_postmasters(server.cluster_dir)
        program = Path(f"/proc/{postmaster}/exe").resolve()
        assert program.is_relative_to(used_folder / "system" / "binaries")
        assert Path(f"/proc/{postmaster}").owner() == SYSTEM_USER
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@needs_root
def test_an_ordinary_user_keeps_everything_in_the_data_directory(open_folder: Path) -> None:
    python = find_python_for(NOBODY)
    if python is None:
        pytest.skip("other users can reach neither this checkout nor a Python of its version")
    (open_folder / "data").mkdir(mode=0o700)
    os.chown(open_folder / "data", NOBODY, NOBODY)
    with run_owner(open_folder, python=python, uid=NOBODY) as owner:
        with psycopg.connect(read_url(owner)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        cluster_dir = open_folder / "data/postgres/cluster"
        (postmaster,) = list_postmasters(cluster_dir)
        assert Path(f"/proc/{postmaster}").stat().st_uid == NOBODY
        kill_owner(owner)
        wait_for(lambda: list_postmasters(cluster_dir) == [])
    assert not (open_folder / "system").exists()
    owners = {path.lstat().st_uid for path in (open_folder / "data").rglob("*")}
    assert owners == {NOBODY}
    with open_in(open_folder) as server:
        assert query(server, "SELECT 1") == 1
        assert Path(server.cluster_dir).stat().st_uid == NOBODY


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(EmbeddedPostgresError, match=r"asktell-server\[embedded\].*DATABASE_URL"):
        find_binaries()


def test_programs_are_copied_whole_and_only_once(open_folder: Path) -> None:
    copies = []
    threads = [
        threading.Thread(target=lambda: copies.append(copy_binaries(find_binaries(), open_folder)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert copies[0] == copies[1]
    assert [entry.name for entry in open_folder.iterdir()] == [copies[0].package_version]
    said = subprocess.run([copies[0].initdb, "--version"], capture_output=True, check=True)
    assert b"initdb (PostgreSQL) 18" in said.stdout
