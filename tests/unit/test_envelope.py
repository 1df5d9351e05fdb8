"""Requests that have no end."""

from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from service.api.envelope import Envelope
from tests.log_lines import open_log

SCOPE = {"type": "http", "method": "POST", "path": "/attempts/a/observe", "headers": []}


async def test_a_client_that_goes_in_the_middle_of_a_request_is_no_defect() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    received: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return received.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    with open_log() as log:
        await Envelope(app)(dict(SCOPE), receive, send)
        assert [line for line in log.read_lines() if line["level"] == "error"] == []
    assert sent == []
