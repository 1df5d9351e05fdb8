"""Flyte as a worker reaches it: by flytekit's own settings, in a process of its own."""

import sys
from collections.abc import Mapping

from service.schedulers.executors.connection.system import OutsideSystem, choose_environment

# -P: a folder of the worker's named flytekit must not hide the package.
_COMMAND = (sys.executable, "-P", "-m", "service.schedulers.executors.flyte.process")
_OF_FLYTE = ("FLYTE_*", "FLYTECTL_CONFIG", "GRPC_*")
_SECRET = "FLYTE_CREDENTIALS_CLIENT_SECRET"  # noqa: S105 (a name)
FOLDER = "ASKTELL_FLYTEKIT_FOLDER"
_ENDPOINT = "FLYTE_PLATFORM_URL"
DEFAULT_ENDPOINT = "localhost:30080"
"""What flytekit calls if nobody says where Flyte is."""
_SET = {
    # What flytekit says of itself is for nobody.
    "FLYTE_SDK_LOGGING_LEVEL": "50",
}


def describe_flyte(worker: Mapping[str, str]) -> OutsideSystem:
    """The Flyte that a worker's environment, or the configuration file of its user, names."""
    named = worker.get("FLYTE_CREDENTIALS_CLIENT_SECRET_ENV_VAR", "")
    environment = choose_environment(worker, (*_OF_FLYTE, *((named,) if named else ())))
    return OutsideSystem(
        name="Flyte",
        calls_per_second=5.0,
        host=worker.get(_ENDPOINT) or "the endpoint of its configuration",
        command=_COMMAND,
        environment=environment | _SET,
        secrets=(worker.get(_SECRET) or worker.get(named, ""),),
        folder_variable=FOLDER,
    )
