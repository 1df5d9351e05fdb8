import httpx
import pytest
import requests
import wandb
from wandb.errors import AuthenticationError, CommError
from wandb.proto.wandb_api_pb2 import ApiErrorResponse
from wandb.sdk.lib.service.service_connection import WandbApiFailedError

from service.schedulers.executors.wandb.connection.errors import (
    Failure,
    explain_error,
    explain_settings,
)
from service.schedulers.executors.wandb.connection.system import describe_wandb

GAVE_UP = (
    "POST https://wandb.example/graphql giving up after 2 attempt(s)\n"
    "while retrying: HTTP 429: slow\n  down"
)
SILENT = "the service process is busy and did not respond in time."
GONE = "Failed to execute API request: the service process is not running."


def build_core_error(message: str, status: int | None = None) -> WandbApiFailedError:
    """As wandb-core's errors arrive; without a status it did not answer at all."""
    if status is None:
        return WandbApiFailedError(message)
    return WandbApiFailedError(message, ApiErrorResponse(message=message, http_status=status))


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (build_core_error(GAVE_UP, 0), Failure("throttled", "HTTP 429: slow down")),
        (build_core_error(SILENT), Failure("away", SILENT)),
        (build_core_error(GONE), Failure("away", GONE, is_process_useless=True)),
        (build_core_error("bad gateway", 502), Failure("away", "bad gateway")),
        (build_core_error("too many", 429), Failure("throttled", "too many")),
        (
            build_core_error("forbidden", 403),
            Failure("refused", "forbidden", is_about_key=True),
        ),
        (
            build_core_error("input: Permission denied\n", 0),
            Failure("refused", "Permission denied", is_about_key=True),
        ),
        (build_core_error("no such field", 400), Failure("refused", "no such field")),
        (
            build_core_error("input: updateRunState not allowed\n", 0),
            Failure("refused", "updateRunState not allowed"),
        ),
        (
            build_core_error("input: runs context deadline exceeded", 0),
            Failure("away", "runs context deadline exceeded"),
        ),
        (
            build_core_error("input: you are being rate limited", 0),
            Failure("throttled", "you are being rate limited"),
        ),
        (requests.ConnectionError("no route"), Failure("away", "no route")),
        (httpx.ConnectTimeout("too late"), Failure("undone", "too late")),
        (
            build_core_error("input: Could not find run queue timeout-study", 0),
            Failure("refused", "Could not find run queue timeout-study"),
        ),
        (
            build_core_error("input: no job acme/temporary/rate limiter:v1", 0),
            Failure("refused", "no job acme/temporary/rate limiter:v1"),
        ),
        (ValueError("There is no such queue."), Failure("refused", "There is no such queue.")),
        (KeyError(), Failure("refused", "KeyError")),
    ],
)
def test_what_an_error_means(error: Exception, failure: Failure) -> None:
    assert explain_error(error) == failure
    assert explain_error(CommError("Whoa", error)) == failure


@pytest.mark.parametrize(("status", "kind"), [(404, "refused"), (409, "refused"), (503, "undone")])
def test_what_an_answer_to_httpx_means(status: int, kind: str) -> None:
    answer = httpx.Response(status, request=httpx.Request("POST", "https://wandb.example"))
    with pytest.raises(httpx.HTTPStatusError) as raised:
        answer.raise_for_status()
    assert explain_error(raised.value).kind == kind


@pytest.mark.parametrize(
    "login", ["ada:hunter2", "ada:hunter%402", "ada:hun!ter@2", "ada:hun ter", "hunter2", "ada:"]
)
def test_what_stands_before_a_host_is_shown_to_nobody(login: str) -> None:
    url = f"https://{login}@wandb.example"
    answer = httpx.Response(404, request=httpx.Request("POST", f"{url}/files"))
    with pytest.raises(httpx.HTTPStatusError) as raised:
        answer.raise_for_status()
    system = describe_wandb({"WANDB_BASE_URL": url})
    message = system.redact(explain_error(raised.value).message)
    assert "hun" not in message
    assert "wandb.example/files" in message
    assert login not in repr(system)


def test_a_key_that_is_not_known_is_a_persons_business() -> None:
    error = AuthenticationError("Failed to verify credentials")
    error.__cause__ = build_core_error("relogin required", 401)
    failure = explain_error(error)
    assert failure.kind == "refused"
    assert failure.is_about_key
    assert failure.message.startswith("relogin required. Run `wandb login`")


def test_a_login_that_could_not_be_checked_says_nothing_about_the_key() -> None:
    error = AuthenticationError("Failed to verify credentials")
    error.__cause__ = build_core_error(GAVE_UP, 0)
    assert explain_error(error) == Failure("throttled", "HTTP 429: slow down")


def test_a_setting_that_is_not_accepted_is_named_and_not_shown() -> None:
    with pytest.raises(ValueError, match="2 validation errors") as raised:
        wandb.Settings(
            base_url="https://me:s3cret@app.wandb.ai", https_proxy="http://me:s3 cret@proxy"
        )
    said = (
        "base_url (WANDB_BASE_URL): https://me:…@app.wandb.ai is not a valid server address, did "
        "you mean https://api.forge.coreweave.com?; https_proxy (WANDB_HTTPS_PROXY): Input "
        "violated strict URL syntax rules, non-URL code point"
    )
    assert explain_error(raised.value) == Failure("refused", said)
    assert said in explain_settings(raised.value)
