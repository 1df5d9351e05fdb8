"""Registers what a module defines, by flytekit's own client. For a process of its own."""

import importlib
from types import ModuleType
from typing import Any


def register(project: str, domain: str, version: str, module: str, *names: str) -> None:
    """Finds admin by flytekit's variables.

    Args:
        names: Of variables of the module; none means all that Flyte knows.
    """
    from flytekit.configuration import Config, ImageConfig, SerializationSettings
    from flytekit.core.base_task import PythonTask
    from flytekit.core.launch_plan import LaunchPlan
    from flytekit.core.workflow import WorkflowBase
    from flytekit.remote import FlyteRemote

    remote = FlyteRemote(Config.auto(), project, domain, interactive_mode_enabled=False)
    settings = SerializationSettings(
        image_config=ImageConfig.auto(img_name="example.com/stand-in:1"),
        project=project,
        domain=domain,
        version=version,
    )
    for entity in _list_entities(importlib.import_module(module), names):
        match entity:
            case PythonTask():
                remote.register_task(entity, settings, version)
            case WorkflowBase():
                remote.register_workflow(entity, settings, version)
            case LaunchPlan():
                remote.register_launch_plan(
                    entity, version, project, domain, serialization_settings=settings
                )


def _list_entities(module: ModuleType, names: tuple[str, ...]) -> list[Any]:
    return [getattr(module, name) for name in names] or list(vars(module).values())
