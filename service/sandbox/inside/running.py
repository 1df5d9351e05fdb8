"""Runs the search space of a file for one trial."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from service.sandbox.inside.channel import Channel
from service.sandbox.inside.trial import Ask, create_trial, to_plain
from service.sandbox.inside.user_module import WrongFile, get_function, load_module


def run_search_space(channel: Channel, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message to the server that says what one run gave."""
    return run_once(load_module(request["file"]), channel, request)


def run_once(module: ModuleType, channel: Channel, request: Mapping[str, Any]) -> dict[str, Any]:
    """Run the search space of a loaded file; raises whatever it raises."""
    file = request["file"]
    name = file["search_space"] or file["objective"]
    space = get_function(module, name, "trial")
    trial = create_trial(request["study"], request["number"], _ask_through(channel))
    returned = space(trial)
    return {
        "op": "ran",
        "config": _read_config(name, returned) if file["search_space"] else None,
        "user_attrs": keep_all("User attribute ", trial.user_attrs),
        "constraints": keep_all("Constraint ", trial.constraints),
    }


def _ask_through(channel: Channel) -> Ask:
    def ask(name: str, document: dict[str, Any]) -> dict[str, Any]:
        channel.send({"op": "suggest", "name": name, "distribution": document})
        answer = channel.receive()
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer

    return ask


def _read_config(name: str, returned: Any) -> dict[str, Any]:
    if not isinstance(returned, Mapping):
        raise WrongFile(
            f"{name}(trial) returned a {type(returned).__name__}; it has to return a mapping of "
            "parameter names to values."
        )
    return keep_all(f"{name}(trial): ", returned)


def keep_all(where: str, values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return values by name as JSON has them.

    Args:
        where: What stands before a name in a sentence.

    Raises:
        WrongFile: JSON cannot say one.
    """
    return {str(key): _keep(f"{where}{key}", value) for key, value in values.items()}


def _keep(what: str, value: Any) -> Any:
    try:
        return to_plain(value)
    except ValueError as error:
        raise WrongFile(f"{what}: {error}.") from error
