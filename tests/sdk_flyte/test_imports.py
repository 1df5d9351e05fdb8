"""Who imports flytekit, and what is said where it is missing. Each in a process of its own."""

import subprocess
import sys
from pathlib import Path

import asktell.flyte
import pytest

MISSING = """
import sys
sys.modules[{name!r}] = None
try:
    import asktell.flyte
except ImportError as error:
    print(error)
"""

ALIASED = """
from asktell.flyte import install_alias
install_alias()
install_alias()

import flytekitplugins.optuna
import flytekitplugins.optuna as plugin
from flytekitplugins.optuna import Optimizer, optimize, suggest
from flytekitplugins.optuna.optimizer import (
    CallbackType, Category, Float, Integer, Number, Result, Suggestion, process
)
import asktell.flyte

assert plugin is flytekitplugins.optuna is asktell.flyte
assert Optimizer is asktell.flyte.Optimizer
assert flytekitplugins.optuna.optimizer.Float is suggest.float is Float
print("ours")
"""

TOO_LATE = """
import sys, types
sys.modules["flytekitplugins.optuna"] = types.ModuleType("flytekitplugins.optuna")
from asktell.flyte import install_alias
try:
    install_alias()
except RuntimeError as error:
    print(error)
"""

BESIDE_OTHERS = """
from asktell.flyte import install_alias
install_alias()
import flytekitplugins.other, flytekitplugins.optuna
from flytekitplugins.optuna import Optimizer
print(flytekitplugins.other.NAME, Optimizer.__module__)
"""


def run(program: str, cwd: Path) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_asktell_alone_imports_neither_flytekit_nor_optuna(tmp_path: Path) -> None:
    listing = "import asktell, sys; print(sorted({'flytekit', 'optuna'} & sys.modules.keys()))"
    assert run(listing, tmp_path) == "[]\n"


@pytest.mark.parametrize("name", ["flytekit", "optuna"])
def test_what_is_missing_is_named_with_what_installs_it(name: str, tmp_path: Path) -> None:
    printed = run(MISSING.format(name=name), tmp_path)
    assert name in printed
    assert "pip install 'asktell[flyte]'" in printed


def test_all_is_what_users_import() -> None:
    assert set(asktell.flyte.__all__) == {"Optimizer", "install_alias", "optimize", "suggest"}


def test_the_alias_is_imported_in_place_of_the_plugin(tmp_path: Path) -> None:
    assert run(ALIASED, tmp_path) == "ours\n"


def test_the_alias_does_not_come_too_late(tmp_path: Path) -> None:
    assert "before anything imports it" in run(TOO_LATE, tmp_path)


def test_other_plugins_stay_what_they_are(tmp_path: Path) -> None:
    plugins = tmp_path / "flytekitplugins"
    (plugins / "other").mkdir(parents=True)
    (plugins / "other" / "__init__.py").write_text("NAME = 'other'\n")
    assert run(BESIDE_OTHERS, tmp_path) == "other asktell.flyte.optimizer\n"
