"""The error tree: HTTP problems become it, and it travels between processes."""

import pickle

import asktell
import httpx
import pytest
from asktell._problems import read_problem


def answer(status: int, **content: object) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "http://box:1/studies"), **content)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, asktell.AuthenticationError),
        (403, asktell.AuthenticationError),
        (404, asktell.NotFoundError),
        (409, asktell.ConflictError),
        (400, asktell.InvalidError),
        (413, asktell.InvalidError),
        (415, asktell.InvalidError),
        (422, asktell.InvalidError),
        (429, asktell.TooManyRequestsError),
        (503, asktell.UnavailableError),
        (500, asktell.ApiError),
        (302, asktell.ApiError),
    ],
)
def test_each_status_has_its_class(status: int, expected: type[asktell.ApiError]) -> None:
    assert type(read_problem(answer(status))) is expected


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (409, "lease-lost", asktell.LeaseLostError),
        (409, "study-paused", asktell.StudyPausedError),
        (409, "study-finished", asktell.ConflictError),
        (500, "lease-lost", asktell.ApiError),
        (404, "no-best-trial", asktell.NoBestTrialError),
        (404, "trial-not-found", asktell.NotFoundError),
    ],
)
def test_some_codes_have_a_class_of_their_own(
    status: int, code: str, expected: type[asktell.ApiError]
) -> None:
    assert type(read_problem(answer(status, json={"code": code}))) is expected


@pytest.mark.parametrize(("header", "seconds"), [("2", 2.0), ("soon", None), ("", None)])
def test_a_wish_to_wait_is_kept(header: str, seconds: float | None) -> None:
    error = read_problem(answer(429, headers={"Retry-After": header}))
    assert error.retry_after_seconds == seconds


def test_a_problem_keeps_what_the_server_said() -> None:
    error = read_problem(
        answer(
            422,
            json={
                "title": "Invalid space",
                "detail": "The space is wrong.",
                "code": "invalid-space",
                "request_id": "abc",
                "errors": [{"field": "space.lr.low", "message": "exceeds high"}],
            },
        )
    )
    assert (error.code, error.status, error.request_id) == ("invalid-space", 422, "abc")
    assert error.errors == (asktell.FieldProblem("space.lr.low", "exceeds high"),)
    assert str(error) == "The space is wrong. [invalid-space]\n  space.lr.low: exceeds high"


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[1]", b"\xff"])
def test_an_answer_of_somebody_else_says_where_it_came_from(body: bytes) -> None:
    error = read_problem(answer(502, content=body))
    assert error.code == "http-502"
    assert "box" in error.message
    assert "ASKTELL_URL" in error.message


def test_a_problem_of_strange_shape_is_still_an_error() -> None:
    error = read_problem(answer(422, json={"detail": ["x"], "errors": [1, {"field": "a"}]}))
    assert isinstance(error, asktell.InvalidError)
    assert error.errors == ()


def test_errors_survive_pickling() -> None:
    error = asktell.ConflictError("no", code="already-told", status=409, request_id="r")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is asktell.ConflictError
    assert (str(copy), copy.code, copy.request_id) == (str(error), "already-told", "r")


def test_a_lost_connection_is_a_connection_error() -> None:
    assert issubclass(asktell.ApiConnectionError, ConnectionError)
    assert issubclass(asktell.ApiConnectionError, asktell.AsktellError)
