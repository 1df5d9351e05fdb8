"""The outputs of an execution that has succeeded, wherever Flyte keeps them."""

import tempfile
from pathlib import Path

from flyteidl.core.literals_pb2 import LiteralMap as LiteralMapMessage
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.core.context_manager import FlyteContextManager
from flytekit.models.core.identifier import WorkflowExecutionIdentifier
from flytekit.models.literals import LiteralMap


class OutputsAway(Exception):
    """They cannot be read now; the message says so, for people."""


def fetch_outputs(
    client: SynchronousFlyteClient, identifier: WorkflowExecutionIdentifier
) -> LiteralMap:
    """All outputs of an execution that has some.

    Flyte gives none, and no error, where they are too large to be sent or where it cannot read
    them itself. See FlyteRemote's `_get_output_literal_map`.

    Raises:
        OutputsAway: They are not where Flyte says.
    """
    data = client.get_execution_data(identifier)
    if data.full_outputs.literals:
        return data.full_outputs
    if data.outputs.bytes == 0:
        raise OutputsAway("Flyte does not give its outputs.")
    try:
        return _download(data.outputs.url)
    except Exception as error:
        # flytekit's file access raises whatever it comes across, and its words hold the address,
        # which may be signed.
        raise OutputsAway("Where Flyte keeps its outputs they cannot be read.") from error


def _download(url: str) -> LiteralMap:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "outputs.pb")
        FlyteContextManager.current_context().file_access.get_data(url, str(path))
        return LiteralMap.from_flyte_idl(LiteralMapMessage.FromString(path.read_bytes()))
