"""What a program finds in its environment: only what is listed, nothing of the worker's own."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

# A worker's own settings, its token among them.
_OWN_PREFIX = "ASKTELL_"

_PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM"),
    *("TMPDIR", "XDG_*", "VIRTUAL_ENV", "CONDA_*", "PYTHONPATH", "PYTHONUNBUFFERED"),
    *("LD_LIBRARY_PATH", "CUDA_*", "NVIDIA_*", "OMP_*", "MKL_*", "OPENBLAS_*", "HF_*"),
)
# Only a name that is written out passes one of these on, never a pattern.
_SECRETS = (
    *("*KEY", "*KEYS", "*KEY_ID", "*TOKEN", "*TOKENS", "*SECRET*", "*PASSWORD*", "*PASSWD*"),
    *("*_PASS", "*PASSPHRASE*", "*CREDENTIAL*", "*AUTH", "*COOKIE*"),
)


def build_environment(
    worker: Mapping[str, str], passed: Sequence[str], launch: Mapping[str, str]
) -> dict[str, str]:
    """Returns the environment of a program.

    Args:
        worker: The worker's environment.
        passed: Names and patterns (`WANDB_*`) that the operator adds to the usual ones.
        launch: What the attempt brings; it wins.
    """
    names = (*_PASSED, *passed)
    kept = {name: value for name, value in worker.items() if _is_passed(name, names)}
    # Metrics are to arrive when they are printed.
    return {"PYTHONUNBUFFERED": "1"} | kept | dict(launch)


def _is_passed(name: str, passed: Sequence[str]) -> bool:
    if name.startswith(_OWN_PREFIX):
        return False
    if name in passed:
        return True
    is_secret = any(fnmatchcase(name.upper(), pattern) for pattern in _SECRETS)
    return not is_secret and any(fnmatchcase(name, pattern) for pattern in passed)
