"""A sweep of ours as the configuration of a W&B sweep, for its page and charts.

Nothing is ever drawn from it: W&B only shows it. Each parameter is the nearest that W&B can say;
conditions are left out, and so is a parameter whose name W&B does not take.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from asktell.workers import WantedMirror

# As the configuration's schema has it, see the `sweeps` package.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# The same names and numbers, there and in our spaces.
_LAWS = {"normal": ("mu", "sigma"), "log_normal": ("mu", "sigma"), "beta": ("a", "b")}


def build_sweep_config(wanted: WantedMirror) -> dict[str, Any]:
    """Returns the configuration, valid by the schema of W&B's `sweeps` package."""
    config: dict[str, Any] = {
        "name": wanted.study,
        "description": _describe(wanted),
        # W&B suggests no values.
        "method": "custom",
        **_build_metrics(wanted),
        "parameters": _build_parameters(wanted),
    }
    if isinstance(program := wanted.arguments.get("program"), str):
        config["program"] = program
    return {**config, **_build_agent_parts(wanted)}


def build_marker(sweep_id: str) -> str:
    """Returns what the description holds of this sweep's mirror and of no other's."""
    return f"asktell {sweep_id}"


def _build_agent_parts(wanted: WantedMirror) -> dict[str, Any]:
    """What agents of people need: what to run, and that W&B waits for runs to be enqueued."""
    if wanted.executor != "wandb-agent":
        return {}
    # Of the engines that W&B leaves alone; which of them it is makes no difference to agents.
    parts: dict[str, Any] = {"scheduler": {"engine": "optuna"}}
    if command := wanted.arguments.get("command"):
        parts["command"] = list(command)
    return parts


def _describe(wanted: WantedMirror) -> str:
    kept = (
        f"Asktell keeps this sweep: its runs are the trials of the study {wanted.study}. To pause, "
        f"resume, stop or cancel it here does so there. ({build_marker(wanted.sweep_id)})"
    )
    return f"{wanted.description}\n\n{kept}" if wanted.description else kept


def _build_metrics(wanted: WantedMirror) -> dict[str, Any]:
    metrics = [{"name": name, "goal": direction} for name, direction in wanted.objectives]
    return {"metric": metrics[0]} if len(metrics) == 1 else {"metrics": metrics}


def _build_parameters(wanted: WantedMirror) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for path, entry in _flatten(wanted.space or {}, ()):
        if all(_NAME.fullmatch(part) for part in path):
            _insert(parameters, path, _build_parameter(entry))
    # W&B wants at least one; this is in the configuration of every run.
    return parameters or {"asktell": {"parameters": {"study": {"value": wanted.study}}}}


def _flatten(
    group: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, entry in group.items():
        # A dot in a name is a group as well; the program gets both nested.
        inner = (*path, *key.split("."))
        if isinstance(entry, Mapping) and not _is_parameter(entry):
            yield from _flatten(entry, inner)
        else:
            yield inner, entry


def _is_parameter(entry: Mapping[str, Any]) -> bool:
    """Tells a distribution or a constant from a group, in a space that is valid."""
    is_constant = "value" in entry and not isinstance(entry["value"], Mapping)
    return is_constant or isinstance(entry.get("type"), str) or _is_optuna_form(entry)


def _is_optuna_form(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("name"), str) and isinstance(entry.get("attributes"), Mapping)


def _insert(parameters: dict[str, Any], path: tuple[str, ...], parameter: Any) -> None:
    *groups, last = path
    for group in groups:
        parameters = parameters.setdefault(group, {"parameters": {}})["parameters"]
    parameters[last] = parameter


def _build_parameter(entry: Any) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        return {"value": entry}
    if _is_optuna_form(entry):
        entry = _read_optuna_form(entry["name"], entry["attributes"])
    if "type" not in entry:
        return {"value": entry["value"]}
    if entry["type"] == "categorical":
        return _build_choices(entry)
    if entry["type"] in _LAWS:
        return _build_law(entry)
    return _build_range(entry)


def _build_choices(entry: Mapping[str, Any]) -> dict[str, Any]:
    if entry.get("probabilities") is None:
        return {"values": list(entry["choices"])}
    return {"values": list(entry["choices"]), "probabilities": list(entry["probabilities"])}


def _build_law(entry: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {key: entry[key] for key in _LAWS[entry["type"]] if entry.get(key) is not None}
    if (quantum := entry.get("quantum")) is None:
        return {"distribution": entry["type"], **numbers}
    return {"distribution": f"q_{entry['type']}", **numbers, "q": quantum}


def _read_optuna_form(name: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the native form; older classes of Optuna have the logarithm in their names."""
    if "choices" in attributes:
        return {"type": "categorical", "choices": attributes["choices"]}
    return {
        "type": "int" if name.startswith("Int") else "float",
        "low": attributes["low"],
        "high": attributes["high"],
        "log": attributes.get("log") or "Log" in name,
        "step": attributes.get("step", attributes.get("q")),
    }


def _build_range(entry: Mapping[str, Any]) -> dict[str, Any]:
    number = int if entry["type"] == "int" else float
    low, high = number(entry["low"]), number(entry["high"])
    if low == high:
        return {"value": low}
    quantum = _find_quantum(entry)
    parameter = {"distribution": _name_distribution(entry, quantum), "min": low, "max": high}
    return parameter if quantum is None else {**parameter, "q": quantum}


def _find_quantum(entry: Mapping[str, Any]) -> float | None:
    """Returns what values are multiples of; W&B counts steps from 0, not from the lower bound."""
    quantum: float | None = entry.get("quantum") or entry.get("step")
    if entry["type"] == "int" and quantum in (None, 1):
        return 1 if entry.get("log") else None
    return quantum


def _name_distribution(entry: Mapping[str, Any], quantum: float | None) -> str:
    if entry.get("log"):
        return "log_uniform_values" if quantum is None else "q_log_uniform_values"
    if quantum is not None:
        return "q_uniform"
    return "int_uniform" if entry["type"] == "int" else "uniform"
