"""What OpenAPI says beyond shapes: problems, links between operations, authentication."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from service.api.answers import Answer, ProblemAnswer
from service.api.problems import PROBLEM_MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = """Hyperparameter optimisation for training jobs: ask for parameters, report values
while training, learn whether to stop, tell the result.

Every answer is given after its commit. Numbers that JSON cannot write travel as the strings
"NaN", "Infinity" and "-Infinity"; times are UTC and end in Z; errors are RFC 9457 problems
whose `code` is stable. 429 and 503 carry Retry-After: repeat the request as it was."""

_SCHEMA_REF = "#/components/schemas/{model}"
_NOT_MODIFIED = "Nothing has changed since the answer with this ETag"
_STUDY_IN_PATH = "$request.path.study"


def describe_answer(
    model: type[Answer], description: str, *, links: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A successful response, and which operations take what from it."""
    return {"model": model, "description": description, "links": dict(links or {})}


def describe_problems(*statuses: int) -> Responses:
    """The ways an operation fails that clients should expect."""
    return {status: _describe_problem(status) for status in statuses}


def describe_not_modified() -> Responses:
    """The short answer to a conditional GET."""
    return {304: {"description": _NOT_MODIFIED}}


def link_to_study(*operations: str) -> dict[str, Any]:
    """Links from an answer that is a study."""
    return {name: _build_link(name, {"study": "$response.body#/name"}) for name in operations}


def link_to_same_study(*operations: str) -> dict[str, Any]:
    """Links from an answer about the study that the path names."""
    return {name: _build_link(name, {"study": _STUDY_IN_PATH}) for name in operations}


def link_to_asked_trial(*operations: str) -> dict[str, Any]:
    """Links from the answer of an ask to its first trial."""
    parameters = {"study": _STUDY_IN_PATH, "number": "$response.body#/trials/0/number"}
    return {name: _build_link(name, parameters) for name in operations}


def link_to_same_trial(*operations: str) -> dict[str, Any]:
    """Links from an answer about the trial that the path names."""
    parameters = {"study": _STUDY_IN_PATH, "number": "$request.path.number"}
    return {name: _build_link(name, parameters) for name in operations}


def link_to_same_attempt(*operations: str) -> dict[str, Any]:
    """Links from an answer about the attempt that the path names."""
    parameters = {"study": _STUDY_IN_PATH, "attempt_id": "$request.path.attempt_id"}
    return {name: _build_link(name, parameters) for name in operations}


def link_to_claimed_attempt(*operations: str) -> dict[str, Any]:
    """Links from the answer of a claim to what a worker says of its first attempt."""
    parameters = {"attempt_id": "$response.body#/attempts/0/id"}
    return {name: _build_link(name, parameters) for name in operations}


def link_to_handled_attempt(*operations: str) -> dict[str, Any]:
    """Links from what a worker has said of an attempt to what it says next."""
    parameters = {"attempt_id": "$request.path.attempt_id"}
    return {name: _build_link(name, parameters) for name in operations}


def name_operation(route: APIRoute) -> str:
    """Operations are called as their functions are."""
    return route.name


def install_openapi(app: FastAPI) -> None:
    """Complete FastAPI's document by problems and authentication."""

    def build_once() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _build_document(app)
        return app.openapi_schema

    # FastAPI documents this assignment as the way to extend its document.
    setattr(app, "openapi", build_once)  # noqa: B010  mypy forbids assigning to a method


def _build_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    schema = ProblemAnswer.model_json_schema(ref_template=_SCHEMA_REF)
    components["schemas"].update(schema.pop("$defs"))
    components["schemas"]["ProblemAnswer"] = schema
    cookie_name = app.state.credentials.sessions.cookie_name
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer"},
        "session": {"type": "apiKey", "in": "cookie", "name": cookie_name},
    }
    document["security"] = [{"token": []}, {"session": []}]
    return document


def _describe_problem(status: int) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {
            PROBLEM_MEDIA_TYPE: {"schema": {"$ref": _SCHEMA_REF.format(model="ProblemAnswer")}}
        },
    }
    if status in (429, 503):
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}
        }
    return response


def _build_link(operation: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    return {"operationId": operation, "parameters": dict(parameters)}
