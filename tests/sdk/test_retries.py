"""Retries against a transport that fails in ways a healthy server cannot be made to."""

import logging
import ssl
from collections.abc import Sequence

import asktell
import httpx
import pytest

from tests.sdk.clocks import FakeTime
from tests.sdk.scripts import ASKED, STUDY, Script, Step, open_client, open_study, problem

PASSING: Sequence[Step] = [
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
    problem(429, "http-429"),
    problem(502, "http-502"),
    problem(503, "database-unavailable"),
    problem(504, "http-504"),
]


@pytest.mark.parametrize("step", PASSING)
def test_what_may_pass_is_tried_again(step: Step) -> None:
    time = FakeTime()
    script, study = open_study(step, step, httpx.Response(200, json=ASKED), time=time)
    assert study.ask().number == 0
    assert len(script.requests) == 3


def test_all_tries_of_an_ask_carry_one_key_and_two_asks_do_not() -> None:
    time = FakeTime()
    script, study = open_study(httpx.ReadTimeout, httpx.Response(200, json=ASKED), time=time)
    study.ask()
    study.ask()
    first, repeat, second = (request.headers["Idempotency-Key"] for request in script.requests)
    assert first == repeat
    assert second != first


@pytest.mark.parametrize(
    ("status", "code"),
    [*((status, "x") for status in (400, 401, 404, 409, 422, 500)), (429, "parallelism-reached")],
)
def test_a_refusal_is_not_tried_again(status: int, code: str) -> None:
    time = FakeTime()
    script, study = open_study(problem(status, code), time=time)
    with pytest.raises(asktell.ApiError):
        study.ask()
    assert len(script.requests) == 1
    assert time.pauses == []


def test_pauses_double_up_to_a_cap_until_the_deadline() -> None:
    time = FakeTime(chance=1.0)
    script, study = open_study(httpx.ConnectError, time=time, deadline=30.0)
    with pytest.raises(asktell.ApiConnectionError, match="http://box"):
        study.ask()
    assert time.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert len(script.requests) == 11


def test_pauses_are_jittered_downwards_by_half_at_most() -> None:
    time = FakeTime(chance=0.0)
    _, study = open_study(httpx.ConnectError, time=time, max_retries=3)
    with pytest.raises(asktell.ApiConnectionError):
        study.ask()
    assert time.pauses == [0.05, 0.1, 0.2]


def test_max_retries_counts_the_tries_after_the_first() -> None:
    script, study = open_study(httpx.ReadError, time=FakeTime(), max_retries=0)
    with pytest.raises(asktell.ApiConnectionError):
        study.ask()
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("header", "least"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0),
        ("100000", 30.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("-5", 0.0),
        ("Thu, 01 Jan 2026 00:00:09", 0.0),
    ],
)
def test_retry_after_is_honoured_up_to_a_cap(header: str, least: float) -> None:
    time = FakeTime()
    busy = problem(503, "study-owned-elsewhere", **{"Retry-After": header})
    _, study = open_study(busy, httpx.Response(200, json=ASKED), time=time)
    study.ask()
    assert time.pauses == [pytest.approx(least + 0.05)]


def test_after_the_deadline_the_servers_last_word_is_raised() -> None:
    _, study = open_study(problem(503, "database-unavailable"), time=FakeTime(), deadline=1.0)
    with pytest.raises(asktell.UnavailableError) as caught:
        study.ask()
    assert caught.value.code == "database-unavailable"


def test_a_try_never_takes_longer_than_what_is_left() -> None:
    time = FakeTime()
    seen: list[float] = []

    def hang(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"]["read"])
        time.seconds += seen[-1]
        raise httpx.ReadTimeout("scripted")

    client = asktell.Client(
        "http://box", "t", transport=httpx.MockTransport(hang), clock=time.clock, timeout=100.0
    )
    with pytest.raises(asktell.ApiConnectionError):
        client.get_study("s")
    assert seen[0] == 100.0
    assert sum(seen) + sum(time.pauses) <= 121.0


def test_an_answer_that_cannot_be_decoded_is_no_answer() -> None:
    broken = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip at all")
    )
    with (
        asktell.Client(
            "http://box", "t", transport=httpx.MockTransport(lambda _: broken), max_retries=0
        ) as client,
        pytest.raises(asktell.ApiConnectionError, match="DecodingError"),
    ):
        client.get_study("s")


def test_a_certificate_that_is_not_trusted_stays_so() -> None:
    tries: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        tries.append(request)
        raise httpx.ConnectError("scripted") from ssl.SSLCertVerificationError("self-signed")

    client = asktell.Client("https://box", "t", transport=httpx.MockTransport(refuse))
    with pytest.raises(asktell.ApiConnectionError):
        client.get_study("s")
    assert len(tries) == 1


def test_whoever_waits_long_is_told_for_what(caplog: pytest.LogCaptureFixture) -> None:
    _, study = open_study(
        httpx.ConnectError, httpx.ConnectError, httpx.Response(200, json=ASKED), time=FakeTime()
    )
    study.ask()
    assert caplog.records == []
    _, study = open_study(httpx.ConnectError, time=FakeTime())
    with caplog.at_level(logging.WARNING), pytest.raises(asktell.ApiConnectionError):
        study.ask()
    assert len(caplog.records) == 1
    assert "http://box does not serve requests (ConnectError" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_whoever_is_interrupted_does_not_wait_for_the_whole_deadline(
    error: type[BaseException],
) -> None:
    time = FakeTime()
    _, study = open_study(httpx.Response(200, json=ASKED), httpx.ConnectError, time=time)
    with pytest.raises(error), study.ask():
        raise error
    assert 0 < sum(time.pauses) <= 5.0


def test_an_outage_is_not_waited_for_twice() -> None:
    time = FakeTime()
    _, study = open_study(httpx.Response(200, json=ASKED), httpx.ConnectError, time=time)
    with pytest.raises(asktell.ApiConnectionError), study.ask() as trial:
        trial.report(1.0, 0)
    assert 110.0 < sum(time.pauses) <= 125.0


def test_the_token_is_in_the_header_and_in_no_error_or_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(problem(401, "unauthorized"))
    client = asktell.Client("http://box", "s3cret", transport=httpx.MockTransport(script))
    with caplog.at_level(logging.DEBUG), pytest.raises(asktell.AuthenticationError) as caught:
        client.get_study("s")
    assert script.requests[0].headers["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in f"{caught.value!r}{caught.value}{client!r}{caplog.text}"


def test_a_redirect_is_not_followed_with_the_token() -> None:
    moved = httpx.Response(307, headers={"Location": "http://elsewhere/studies/s"})
    script = Script(moved)
    with pytest.raises(asktell.ApiError) as caught:
        open_client(script, FakeTime()).get_study("s")
    assert caught.value.status == 307
    assert len(script.requests) == 1


def test_a_success_of_somebody_else_is_an_error() -> None:
    script = Script(httpx.Response(200, content=b"<html>Log in to the network</html>"))
    with pytest.raises(asktell.ApiError, match="not an answer of Asktell"):
        open_client(script, FakeTime()).get_study("s")


def test_all_tries_of_a_create_carry_one_key() -> None:
    script = Script(httpx.ReadTimeout, problem(503, "x"), httpx.Response(201, json=STUDY))
    assert open_client(script, FakeTime()).create_study("s").name == "s"
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert (len(keys), len(script.requests)) == (1, 3)


class TestDeleting:
    def delete(self, *steps: Step) -> None:
        open_client(Script(*steps), FakeTime()).delete_study("s")

    def test_gone_after_a_lost_answer_is_a_success(self) -> None:
        self.delete(httpx.ReadTimeout, problem(404, "study-not-found"))

    def test_gone_from_the_start_is_not(self) -> None:
        with pytest.raises(asktell.NotFoundError):
            self.delete(httpx.ConnectError, problem(404, "study-not-found"))
