"""Optuna studies inside Flyte workflows, with the names of `flytekitplugins.optuna`.

Needs `pip install 'asktell[flyte]'`. Without `server=` nothing of the service is used: the study
lives in the memory of the eager task, as with the plugin.
"""

try:
    import flytekit as _flytekit
    import optuna as _optuna
except ImportError as error:
    raise ImportError(
        f"asktell.flyte cannot be used: {error}. It needs flytekit, which exists for Python 3.10 "
        "to 3.12, and optuna: pip install 'asktell[flyte]'."
    ) from error

from asktell.flyte._alias import install_alias
from asktell.flyte._suggestions import suggest
from asktell.flyte.optimizer import Optimizer, optimize

__all__ = ["Optimizer", "install_alias", "optimize", "suggest"]

del _flytekit, _optuna
