"""The real flytekit beside a stand-in for flyteadmin."""

import atexit
import importlib
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.fixtures import flyte_admin as flyte_admin
from tests.flyte_admin.fixtures import flyte_zygote as flyte_zygote
from tests.flyte_admin.fixtures import shared_flyte_admin as shared_flyte_admin

if TYPE_CHECKING:
    from flytekit.remote import FlyteRemote


def _import_flytekit() -> "tempfile.TemporaryDirectory[str]":
    """Before anybody else does, so that nothing is left of it but the folder that is returned.

    When it is imported, it makes folders that it never removes, and replaces the hook for
    exceptions.
    """
    folder = tempfile.TemporaryDirectory(prefix="asktell-flytekit-")
    hook, tempfile.tempdir = sys.excepthook, folder.name
    try:
        importlib.import_module("flytekit.remote")
    finally:
        sys.excepthook, tempfile.tempdir = hook, None
    return folder


_FOLDER = _import_flytekit()
atexit.register(_FOLDER.cleanup)


@pytest.fixture(scope="module")
def _admin_with_programs(shared_flyte_admin: FlyteAdmin) -> FlyteAdmin:
    shared_flyte_admin.register("tests.flyte.programs")
    return shared_flyte_admin


@pytest.fixture
def admin(_admin_with_programs: FlyteAdmin) -> Iterator[FlyteAdmin]:
    """An admin for all tests of a module, with all of programs.py. Faults end with the test."""
    yield _admin_with_programs
    _admin_with_programs.recover()


@pytest.fixture
def remote(admin: FlyteAdmin) -> "FlyteRemote":
    """Its client."""
    from tests.flyte.remotes import open_remote

    return open_remote(admin)
