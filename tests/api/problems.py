"""What every refusal must look like."""

from typing import Any

import httpx

MEMBERS = {"type", "title", "status", "code", "detail", "request_id", "errors"}


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check the form of a problem and return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["code"] == code, problem
    assert set(problem) <= MEMBERS
    assert problem["status"] == status
    assert problem["type"] == f"/docs/problems#{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["detail"].endswith((".", "?", ")")), problem["detail"]
    return problem


def get_fields(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]
