"""Projects: they come into being with the first thing in them."""

import zlib
from typing import Any

from tests.wandb_backend.world import Answer, Variables, World, make_id

DEFAULT_PROJECT = "uncategorized"


def name_project(world: World, variables: Variables) -> tuple[str, str]:
    """The entity and project that a request is about; the SDK has two spellings for each."""
    entity = variables.get("entity") or variables.get("entityName") or world.entity
    project = variables.get("project") or variables.get("projectName") or DEFAULT_PROJECT
    return entity, project


def number_project(entity: str, project: str) -> str:
    """W&B numbers its projects; the SDK wants a number."""
    return str(zlib.crc32(f"{entity}/{project}".encode()))


def describe_project(entity: str, project: str) -> dict[str, Any]:
    return {
        "__typename": "Project",
        "id": make_id("Project", "v1", project, entity),
        "internalId": make_id("ProjectInternalId", "v1", number_project(entity, project)),
        "name": project,
        "entityName": entity,
        "entity": {"id": make_id("Entity", entity), "name": entity},
        "description": "",
        "access": "PRIVATE",
        "views": "{}",
        "readOnly": False,
    }


def answer_project(world: World, variables: Variables, **parts: Any) -> Answer:
    """A project with those parts, or null if there is no such project."""
    entity, project = name_project(world, variables)
    if (entity, project) not in world.projects:
        return {"project": None, "model": None}
    described = describe_project(entity, project) | parts
    return {"project": described, "model": described}


def create_project(world: World, variables: Variables) -> Answer:
    wanted = variables["input"]
    entity, project = wanted.get("entityName") or world.entity, wanted["name"]
    is_new = (entity, project) not in world.projects
    world.projects.add((entity, project))
    described = describe_project(entity, project)
    return {"upsertModel": {"project": described, "model": described, "inserted": is_new}}


OPERATIONS = {"CreateProject": create_project}
