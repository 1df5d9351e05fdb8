"""The outputs of an execution that has succeeded, wherever Flyte keeps them."""

import tempfile
import threading
from concurrent.futures import Future
from pathlib import Path

from flyteidl.core.literals_pb2 import LiteralMap as LiteralMapMessage
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.core.context_manager import FlyteContextManager
from flytekit.core.data_persistence import FileAccessProvider
from flytekit.models.core.identifier import WorkflowExecutionIdentifier
from flytekit.models.literals import LiteralMap


class OutputsAway(Exception):
    """They cannot be read now; the message says so, for people."""


def fetch_outputs(
    client: SynchronousFlyteClient, identifier: WorkflowExecutionIdentifier, *, seconds: float
) -> LiteralMap:
    """All outputs of an execution that has some.

    Flyte gives none, and no error, where they are too large to be sent or where it cannot read
    them itself. See FlyteRemote's `_get_output_literal_map`.

    Args:
        seconds: How long they may take where Flyte does not send them itself.

    Raises:
        OutputsAway: They are not where Flyte says.
    """
    data = client.get_execution_data(identifier)
    if data.full_outputs.literals:
        return data.full_outputs
    if data.outputs.bytes == 0:
        raise OutputsAway("Flyte does not give its outputs.")
    try:
        return _download(data.outputs.url, seconds)
    except TimeoutError as error:
        words = f"Where Flyte keeps its outputs nobody answers within {seconds:g} s."
        raise OutputsAway(words) from error
    except Exception as error:
        # flytekit's file access raises whatever it comes across, and its words hold the address,
        # which may be signed.
        raise OutputsAway("Where Flyte keeps its outputs they cannot be read.") from error


def _download(url: str, seconds: float) -> LiteralMap:
    """flytekit's file access has no deadline: in a thread of its own it keeps nobody."""
    access = FlyteContextManager.current_context().file_access
    reading: Future[LiteralMap] = Future()
    threading.Thread(target=_read_into, args=(reading, access, url), daemon=True).start()
    return reading.result(seconds)


def _read_into(reading: "Future[LiteralMap]", access: FileAccessProvider, url: str) -> None:
    try:
        reading.set_result(_read(access, url))
    except Exception as error:
        reading.set_exception(error)


def _read(access: FileAccessProvider, url: str) -> LiteralMap:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "outputs.pb")
        access.get_data(url, str(path))
        return LiteralMap.from_flyte_idl(LiteralMapMessage.FromString(path.read_bytes()))
