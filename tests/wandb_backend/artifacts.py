"""The artifact operations that finding a launch job and downloading a single file take."""

import base64
import json
from typing import Any

from tests.wandb_backend.paging import cut_page
from tests.wandb_backend.planted_artifacts import PlantedArtifact, digest
from tests.wandb_backend.projects import answer_project, describe_project, name_project
from tests.wandb_backend.world import Answer, Variables, World, make_id


def add_artifact(world: World, artifact: PlantedArtifact) -> None:
    """Makes an artifact known, and what is downloaded of it."""
    folder = f"artifacts/{artifact.path}"
    world.projects.add((artifact.entity, artifact.project))
    world.artifacts[artifact.path] = artifact
    world.files |= {f"{folder}/files/{name}": each for name, each in artifact.files.items()}
    world.files[f"{folder}/manifest"] = json.dumps(_build_manifest(artifact)).encode()


def find_file(world: World, entity: str, project: str, name: str, hex_digest: str) -> bytes | None:
    """The content of a file of that digest in an artifact of that name, or None."""
    for artifact in world.artifacts.values():
        if (artifact.entity, artifact.project, artifact.name) == (entity, project, name):
            for content in artifact.files.values():
                if base64.b64decode(digest(content)).hex() == hex_digest:
                    return content
    return None


def find_membership(world: World, variables: Variables) -> Answer:
    """The artifact of that "name:alias"."""
    artifact = _find_artifact(world, variables, *variables["name"].split(":"))
    described = artifact and _describe_membership(world, artifact)
    return answer_project(world, variables, artifactCollectionMembership=described)


def find_manifest(world: World, variables: Variables) -> Answer:
    """Where the list of an artifact's files is downloaded."""
    planted = world.artifacts.values()
    found = next((each for each in planted if _make_artifact_id(each) == variables["id"]), None)
    file = found and {"directUrl": f"{world.base_url}/storage/artifacts/{found.path}/manifest"}
    return {"artifact": found and {"currentManifest": {"file": file}}}


def list_file_urls(world: World, variables: Variables) -> Answer:
    """Where the files of an artifact are downloaded."""
    found = _find_artifact(world, variables, variables["collection"], variables["alias"])
    nodes = [_describe_file(world, found, name) for name in found.files] if found else []
    membership = {"files": cut_page(nodes, variables)}
    collection = {"__typename": "ArtifactSequence", "artifactMembership": membership}
    return answer_project(world, variables, artifactCollection=collection)


def _describe_file(world: World, artifact: PlantedArtifact, name: str) -> dict[str, Any]:
    url = f"{world.base_url}/storage/artifacts/{artifact.path}/files/{name}"
    return {"__typename": "File", "name": name, "directUrl": url}


def _build_manifest(artifact: PlantedArtifact) -> dict[str, Any]:
    birth = {"birthArtifactID": _make_artifact_id(artifact)}
    files = {
        name: {"digest": digest(content), "size": len(content), **birth}
        for name, content in artifact.files.items()
    }
    references = {
        name: {"digest": address, "ref": address} for name, address in artifact.references.items()
    }
    return {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": {**files, **references},
    }


def _make_artifact_id(artifact: PlantedArtifact) -> str:
    return make_id("Artifact", artifact.path)


def _find_artifact(
    world: World, variables: Variables, name: str, alias: str
) -> PlantedArtifact | None:
    """By its alias or its version, which is always the first."""
    entity, project = name_project(world, variables)
    for each in world.artifacts.values():
        if (each.entity, each.project, each.name) == (entity, project, name):
            return each if alias in (each.alias, "v0") else None
    return None


def _describe_membership(world: World, artifact: PlantedArtifact) -> dict[str, Any]:
    collection = {
        "__typename": "ArtifactSequence",
        "name": artifact.name,
        "project": describe_project(artifact.entity, artifact.project),
    }
    aliases = [
        {
            "__typename": "ArtifactAlias",
            "id": make_id("Alias", artifact.path),
            "alias": artifact.alias,
            "artifactCollection": collection,
        }
    ]
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": make_id("Membership", artifact.path),
        "versionIndex": 0,
        "createdAt": world.now(),
        "aliases": aliases,
        "artifactCollection": collection,
        "artifact": _describe_artifact(world, artifact, collection, aliases),
    }


def _describe_artifact(
    world: World,
    artifact: PlantedArtifact,
    collection: dict[str, Any],
    aliases: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "__typename": "Artifact",
        "id": _make_artifact_id(artifact),
        "artifactSequence": collection,
        "versionIndex": 0,
        "artifactType": {"name": artifact.kind},
        "description": None,
        "metadata": "{}",
        "ttlDurationSeconds": -2,
        "ttlIsInherited": False,
        "tags": [],
        "historyStep": None,
        "state": "COMMITTED",
        "size": artifact.size,
        "digest": artifact.digest,
        "digestAlgorithm": "MANIFEST_MD5",
        "commitHash": "0" * 20,
        "fileCount": len(artifact.files),
        "createdAt": world.now(),
        "updatedAt": world.now(),
        "aliases": aliases,
    }


OPERATIONS = {
    "ArtifactMembershipByName": find_membership,
    "FetchArtifactManifest": find_manifest,
    "GetArtifactMembershipFileUrls": list_file_urls,
}
