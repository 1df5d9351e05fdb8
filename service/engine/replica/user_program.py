"""What a session of a user's file runs: see `service.sandbox.Sandbox.open_session`."""

import pickle
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from service.engine.replica.messages import Load
from service.engine.replica.serving import Served
from service.engine.replica.user_study import UserStudy
from service.sandbox.inside.channel import Channel
from service.sandbox.inside.making import Made, find_functions, make_parts
from service.sandbox.inside.user_module import explain


def serve(module: ModuleType, request: Mapping[str, Any], channel: Channel) -> None:
    """Serves a replica of the study whose parts a loaded file makes, until the session ends."""
    file = request["file"]

    def make() -> Made:
        return make_parts(find_functions(module, file), file, request["sweep"])

    def open_study(load: Load) -> UserStudy:
        return UserStudy(load, make, lambda error: explain(error, file["name"]))

    served = Served(open_study)
    while True:
        try:
            message = pickle.loads(channel.receive_bytes())  # noqa: S301 - from the server
        except EOFError:
            return
        answer = served.take(message)
        sys.stdout.flush()
        if answer is not None:
            channel.send({"op": "answer", **answer})
