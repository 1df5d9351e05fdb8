"""Secrets are in no message, wherever one is cut."""

import sys
from pathlib import Path

import grpc
import pytest
from flytekit.exceptions.system import FlyteSystemException

from service.schedulers.executors.connection.child import ChildGone, ConnectionChild
from service.schedulers.executors.connection.system import OutsideSystem
from service.schedulers.executors.flyte.errors import explain_error
from service.schedulers.executors.flyte.operations import Flyte, launch
from service.schedulers.executors.flyte.system import describe_flyte
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION

SECRET = "0123456789abcdef"


class Failed(grpc.RpcError, grpc.Call):
    """A call to which a server said something."""

    __abstractmethods__ = frozenset()

    def __init__(self, said: str) -> None:
        super().__init__()
        self._said = said

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAUTHENTICATED

    def details(self) -> str:
        return self._said


@pytest.mark.parametrize("before", range(0, 500, 7))
def test_a_long_answer_is_cut_without_its_secrets(before: int) -> None:
    system = describe_flyte({"FLYTE_CREDENTIALS_CLIENT_SECRET": SECRET})
    error = FlyteSystemException("failed")
    error.__cause__ = Failed("x" * before + SECRET + "x" * (500 - before))

    message = system.redact(explain_error(error).message)

    assert len(message) < 500
    assert message.endswith("Give the worker credentials of Flyte that are valid.")
    assert not set(message) & set("0123456789")


async def test_the_last_words_of_a_process_are_cut_without_its_secrets() -> None:
    words = "x" * 100 + SECRET + "x" * 490
    system = OutsideSystem(
        name="Flyte",
        host="here",
        command=(sys.executable, "-c", f"import sys; sys.exit({words!r})"),
        environment={},
        secrets=(SECRET,),
    )

    with pytest.raises(ChildGone) as gone:
        await ConnectionChild.start(system, start_seconds=60)

    assert not set(str(gone.value)) & set(SECRET)


def test_a_refusal_has_no_secret_of_a_file(
    flyte_admin: FlyteAdmin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flyte_admin.plant_task("train", inputs={"x": float}, outputs={"o0": float})
    (tmp_path / "secret").write_text(SECRET)
    monkeypatch.setenv("FLYTE_CREDENTIALS_CLIENT_ID", "worker")
    monkeypatch.setenv("FLYTE_CREDENTIALS_CLIENT_SECRET_LOCATION", str(tmp_path / "secret"))
    for name, value in flyte_admin.build_environment().items():
        monkeypatch.setenv(name, value)

    problem = launch(
        Flyte(),
        kind="task",
        entity=f"{PROJECT}/{DOMAIN}/train@{VERSION}",
        name="secret",
        inputs={"x": 1},
        labels={"asktell-attempt": "a", "team": f"our {SECRET}"},
        annotations={},
        environment={},
        options={},
    )

    assert problem == "Flyte refuses it: invalid label value [our …]"
