"""The artifact operations that finding a launch job takes."""

import json
from typing import Any

from tests.wandb_backend.paging import cut_page
from tests.wandb_backend.planted_jobs import PlantedJob
from tests.wandb_backend.projects import answer_project, describe_project, name_project
from tests.wandb_backend.world import Answer, Variables, World, make_id

_FILE_NAME = "wandb-job.json"


def add_job(world: World, job: PlantedJob) -> None:
    """Makes a job known, and what is downloaded of it."""
    world.projects.add((job.entity, job.project))
    world.jobs[job.path] = job
    world.files[f"jobs/{job.path}/{_FILE_NAME}"] = job.content
    world.files[f"jobs/{job.path}/manifest"] = json.dumps(_build_manifest(job)).encode()


def find_membership(world: World, variables: Variables) -> Answer:
    """The job artifact of that "name:alias"."""
    job = _find_job(world, variables, *variables["name"].split(":"))
    described = job and _describe_membership(world, job)
    return answer_project(world, variables, artifactCollectionMembership=described)


def find_manifest(world: World, variables: Variables) -> Answer:
    """Where the list of an artifact's files is downloaded."""
    jobs = world.jobs.values()
    job = next((job for job in jobs if _make_artifact_id(job) == variables["id"]), None)
    file = job and {"directUrl": f"{world.base_url}/storage/jobs/{job.path}/manifest"}
    return {"artifact": job and {"currentManifest": {"file": file}}}


def list_file_urls(world: World, variables: Variables) -> Answer:
    """Where the files of a job artifact are downloaded."""
    job = _find_job(world, variables, variables["collection"], variables["alias"])
    nodes = [_describe_file(world, job)] if job else []
    membership = {"files": cut_page(nodes, variables)}
    collection = {"__typename": "ArtifactSequence", "artifactMembership": membership}
    return answer_project(world, variables, artifactCollection=collection)


def _describe_file(world: World, job: PlantedJob) -> dict[str, Any]:
    url = f"{world.base_url}/storage/jobs/{job.path}/{_FILE_NAME}"
    return {"__typename": "File", "name": _FILE_NAME, "directUrl": url}


def _build_manifest(job: PlantedJob) -> dict[str, Any]:
    return {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": {_FILE_NAME: {"digest": job.digest, "size": len(job.content)}},
    }


def _make_artifact_id(job: PlantedJob) -> str:
    return make_id("Artifact", job.path)


def _find_job(world: World, variables: Variables, name: str, alias: str) -> PlantedJob | None:
    """By its alias or its version, which is always the first."""
    entity, project = name_project(world, variables)
    for job in world.jobs.values():
        if (job.entity, job.project, job.name) == (entity, project, name):
            return job if alias in (job.alias, "v0") else None
    return None


def _describe_membership(world: World, job: PlantedJob) -> dict[str, Any]:
    collection = {
        "__typename": "ArtifactSequence",
        "name": job.name,
        "project": describe_project(job.entity, job.project),
    }
    aliases = [
        {
            "__typename": "ArtifactAlias",
            "id": make_id("Alias", job.path),
            "alias": job.alias,
            "artifactCollection": collection,
        }
    ]
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": make_id("Membership", job.path),
        "versionIndex": 0,
        "createdAt": world.now(),
        "aliases": aliases,
        "artifactCollection": collection,
        "artifact": _describe_artifact(world, job, collection, aliases),
    }


def _describe_artifact(
    world: World, job: PlantedJob, collection: dict[str, Any], aliases: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "__typename": "Artifact",
        "id": _make_artifact_id(job),
        "artifactSequence": collection,
        "versionIndex": 0,
        "artifactType": {"name": "job"},
        "description": None,
        "metadata": "{}",
        "ttlDurationSeconds": -2,
        "ttlIsInherited": False,
        "tags": [],
        "historyStep": None,
        "state": "COMMITTED",
        "size": len(job.content),
        "digest": job.digest,
        "digestAlgorithm": "MANIFEST_MD5",
        "commitHash": "0" * 20,
        "fileCount": 1,
        "createdAt": world.now(),
        "updatedAt": world.now(),
        "aliases": aliases,
    }


OPERATIONS = {
    "ArtifactMembershipByName": find_membership,
    "FetchArtifactManifest": find_manifest,
    "GetArtifactMembershipFileUrls": list_file_urls,
}
