"""The name of the plugin for code that cannot be changed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

_PLUGINS = "flytekitplugins"
_NAME = f"{_PLUGINS}.optuna"


def install_alias() -> None:
    """Makes `import flytekitplugins.optuna` mean `asktell.flyte` in this process.

    To be called before anything imports the plugin, in every process that does: on a cluster in
    the tasks too, for instance at the top of the module that has them. A second call changes
    nothing.

    Raises:
        RuntimeError: The plugin itself was imported already.
    """
    ours = importlib.import_module("asktell.flyte")
    if sys.modules.get(_NAME, ours) is not ours:
        raise RuntimeError(
            f"{_NAME} was imported already: call install_alias() before anything imports it."
        )
    names = {_NAME: ours, f"{_NAME}.optimizer": importlib.import_module("asktell.flyte.optimizer")}
    sys.modules.update(names)
    _find_plugins().optuna = ours  # type: ignore[attr-defined]


def _find_plugins() -> ModuleType:
    """The package of flytekit's plugins, which exists where one of them is installed."""
    if _PLUGINS not in sys.modules and importlib.util.find_spec(_PLUGINS) is None:
        plugins = ModuleType(_PLUGINS)
        plugins.__path__ = []
        sys.modules[_PLUGINS] = plugins
    return importlib.import_module(_PLUGINS)
