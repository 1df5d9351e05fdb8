"""What the machine has: Python, disk space, containment of user code, optional packages."""

import netrc
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.cli.doctor.findings import Finding, doubtful, right, wrong

if TYPE_CHECKING:
    from service.settings import Settings

_OLDEST_PYTHON = (3, 11)
_WANTED_FREE_BYTES = 2 * 1024**3
_NEEDED_FREE_BYTES = 200 * 1024**2
# W&B's own from wandb 0.31 on, and as it was called before; wandb takes a login of either.
_WANDB_HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")
_WANDB_VARIABLES = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")


def check_python() -> Finding:
    """The interpreter that runs this."""
    words = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return wrong("Python", words, "Install Python 3.11 or 3.12.")
    return right("Python", words)


def check_disk(folder: Path) -> Finding:
    """Room for the data directory, which need not exist yet."""
    existing = next(each for each in (folder, *folder.parents) if os.path.exists(each))
    free = shutil.disk_usage(existing).free
    words = f"{free / 1024**3:.1f} GiB free at {existing}"
    advice = "Make room, or choose another data directory by --data-dir or ASKTELL_DATA_DIR."
    if free < _NEEDED_FREE_BYTES:
        return wrong("disk space", words, advice)
    return (
        doubtful("disk space", words, advice)
        if free < _WANTED_FREE_BYTES
        else right("disk space", words)
    )


def check_sandbox(settings: "Settings") -> Finding:
    """Whether the kernel can keep users' Python from files and the network."""
    from service.sandbox import Sandbox, SandboxUnavailable

    subject = "user code"
    if settings.user_code == "off":
        return right(subject, "off by ASKTELL_USER_CODE; studies made of Python are refused")
    with Sandbox() as sandbox:
        try:
            is_contained, ways = sandbox.is_contained, sandbox.describe_containment()
        except SandboxUnavailable as error:
            return doubtful(subject, f"no sandbox can be started: {error}", _LET_IT)
    missing = [way for way in ways if way.startswith("Not")]
    if is_contained:
        return right(subject, "kept from files and the network", " ".join(missing) or None)
    return doubtful(subject, " ".join(missing), _LET_IT)


_LET_IT = (
    "Studies made of Python, and samplers of users, are refused here; whoever trusts all users "
    "sets ASKTELL_USER_CODE=uncontained."
)


def check_torch() -> Finding:
    """What GPSampler needs."""
    found = _find_version("torch")
    if found is None:
        what = "not installed; only studies with GPSampler need it"
        return right("torch", what, "pip install 'asktell-server[gp]' if you want some.")
    return right("torch", found)


def check_wandb(environ: Mapping[str, str]) -> Finding:
    """The package, and whether it is logged in as far as can be told without asking W&B."""
    found = _find_version("wandb")
    if found is None:
        what = "not installed; only workers of W&B's executors need it"
        return right("wandb", what, "pip install 'asktell-server[wandb]' if you want some.")
    source = _find_wandb_credential(environ)
    if source is None:
        log_in = "Run `wandb login` as the worker's user, or set WANDB_API_KEY, to use it."
        return doubtful("wandb", f"{found}, without a key", log_in)
    return right("wandb", f"{found}, key from {source}")


def check_flytekit() -> Finding:
    """The package, and whether it is told where Flyte is."""
    from service.settings import has_flyte_settings

    found = _find_version("flytekit")
    if found is None:
        what = "not installed; only workers of the executor flyte need it"
        return right("flytekit", what, "pip install 'asktell-server[flyte]' if you want some.")
    if not has_flyte_settings():
        what = f"{found}, without settings; workers leave Flyte alone"
        return right("flytekit", what, "Set FLYTE_PLATFORM_URL or FLYTECTL_CONFIG to use it.")
    return right("flytekit", f"{found}, with settings")


def _find_version(distribution: str) -> str | None:
    # Importing these takes seconds.
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _find_wandb_credential(environ: Mapping[str, str]) -> str | None:
    """Where there is one, never what it is."""
    for variable in _WANDB_VARIABLES:
        if environ.get(variable):
            return variable
    hosts = _list_wandb_hosts(environ)
    for file in _list_netrc_files(environ):
        if any(_has_login(file, host) for host in hosts):
            return str(file)
    return None


def _list_wandb_hosts(environ: Mapping[str, str]) -> tuple[str, ...]:
    """With their ports, as wandb has them in files of logins."""
    host = urlsplit(environ.get("WANDB_BASE_URL", "")).netloc
    return _WANDB_HOSTS if host in ("", _WANDB_HOSTS[0]) else (host,)


def _list_netrc_files(environ: Mapping[str, str]) -> Iterator[Path]:
    if named := environ.get("NETRC"):
        # wandb looks at no other then.
        yield Path(named).expanduser()
        return
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    yield from (home / ".netrc", home / "_netrc")


def _has_login(file: Path, host: str) -> bool:
    try:
        return netrc.netrc(file).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        # wandb finds nothing in it either.
        return False
