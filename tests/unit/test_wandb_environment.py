"""What makes an unchanged program a certain run."""

import json
from typing import Any

import pytest

from service.schedulers.executors.base import Launch, LaunchRefused
from service.schedulers.executors.wandb.connection.system import describe_wandb
from service.schedulers.executors.wandb.local.environment import build_run_environment
from service.schedulers.executors.wandb.runs.runs import (
    RunPath,
    build_offline_ref,
    find_entity,
    find_project,
    find_run_url,
)

ARGUMENTS = {"project": None, "entity": None, "group": None, "job_type": None, "tags": []}


def build_launch(arguments: dict[str, Any] | None = None, **parts: Any) -> Launch:
    known = {
        "attempt_id": "k3v9x2ab-12-1",
        "run_id": "k3v9x2ab-12-1",
        "study": "digits",
        "trial": 12,
        "attempt": 1,
        "params": {"lr": 0.1, "net": {"width": 8}},
        "arguments": ARGUMENTS | (arguments or {}),
    }
    return Launch(**known | parts)


def build(
    launch: Launch, worker: dict[str, str] | None = None, *, is_online: bool = True
) -> dict[str, str]:
    return build_run_environment(launch, worker or {}, folder="/f", is_online=is_online)


def test_usual_run():
    environment = build(build_launch())

    config = json.loads(environment.pop("WANDB_CONFIG"))
    assert config == {
        "lr": 0.1,
        "net": {"width": 8},
        "asktell": {"study": "digits", "trial": 12, "attempt": 1},
    }
    assert environment == {
        "WANDB_LAUNCH": "True",
        "WANDB_RUN_ID": "k3v9x2ab-12-1",
        "WANDB_PROJECT": "uncategorized",
        "WANDB_NAME": "trial-12",
        "WANDB_RUN_GROUP": "digits",
        "WANDB_JOB_TYPE": "trial",
        "WANDB_DIR": "/f",
        "WANDB_MODE": "online",
        "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "1",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "5",
        "WANDB_project": "uncategorized",
        "WANDB_run_id": "k3v9x2ab-12-1",
    }


def test_program_cannot_move_its_run():
    """What is set again stays where it is, and wandb takes the later one."""
    launch = build_launch({"entity": "e", "project": "p"}, environment={"WANDB_PROJECT": "other"})

    environment = build(launch)

    names = list(environment)
    for name in ("ENTITY", "PROJECT", "RUN_ID"):
        assert names.index(f"WANDB_{name}") < names.index(f"WANDB_{name.lower()}")
    assert environment["WANDB_project"] == "p"


def test_sweep_names_what_it_wants():
    wanted = {"project": "p", "entity": "e", "group": "g", "job_type": "j", "tags": ["a", "b"]}
    worker = {"WANDB_PROJECT": "other", "WANDB_ENTITY": "other"}

    environment = build(build_launch(wanted), worker)

    names = ("PROJECT", "ENTITY", "RUN_GROUP", "JOB_TYPE", "TAGS")
    assert [environment[f"WANDB_{name}"] for name in names] == ["p", "e", "g", "j", "a,b"]


def test_worker_says_where_runs_go():
    worker = {"WANDB_PROJECT": "p", "WANDB_ENTITY": "e"}

    environment = build(build_launch(), worker)

    assert (environment["WANDB_PROJECT"], environment["WANDB_ENTITY"]) == ("p", "e")


def test_another_attempt_is_another_run():
    launch = build_launch(attempt_id="k3v9x2ab-12-2", run_id="k3v9x2ab-12-2", attempt=2)

    environment = build(launch)

    assert environment["WANDB_NAME"] == "trial-12-attempt-2"
    assert "WANDB_RESUME" not in environment


def test_attempt_that_resumes_a_run_keeps_its_name():
    environment = build(build_launch(attempt_id="k3v9x2ab-12-2", attempt=2))

    assert (environment["WANDB_RUN_ID"], environment["WANDB_NAME"]) == ("k3v9x2ab-12-1", "trial-12")
    assert environment["WANDB_RESUME"] == "allow"
    assert json.loads(environment["WANDB_CONFIG"])["asktell"]["attempt"] == 2


def test_run_of_a_mirror():
    launch = build_launch({"project": "digits"}, mirror_ref="acme/digits/x7k2p1qz")

    environment = build(launch, {"WANDB_ENTITY": "acme"})

    assert environment["WANDB_SWEEP_ID"] == "x7k2p1qz"


@pytest.mark.parametrize(
    "worker",
    [
        {"WANDB_ENTITY": "acme", "WANDB_PROJECT": "other"},
        {"WANDB_ENTITY": "other", "WANDB_PROJECT": "digits"},
        {"WANDB_PROJECT": "digits"},
    ],
)
def test_mirror_that_is_not_where_the_run_goes_is_left_out(worker: dict[str, str]):
    environment = build(build_launch(mirror_ref="acme/digits/x7k2p1qz"), worker)

    assert "WANDB_SWEEP_ID" not in environment


def test_token_is_in_no_config():
    environment = build(build_launch(environment={"ASKTELL_TOKEN": "of the attempt"}))

    assert environment["ASKTELL_TOKEN"] == "of the attempt"
    assert "of the attempt" not in environment["WANDB_CONFIG"]


def test_settings_of_the_worker_pass():
    settings = {
        "WANDB_SILENT": "true",
        "WANDB_INIT_TIMEOUT": "30",
        "WANDB_CACHE_DIR": "/cache",
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "30",
    }

    environment = build(build_launch(), settings | {"PATH": "/bin", "ASKTELL_TOKEN": "t"})

    assert settings.items() <= environment.items()
    assert not {"PATH", "ASKTELL_TOKEN"} & environment.keys()


@pytest.mark.parametrize(
    "name",
    [
        *("WANDB_RUN_NAME", "WANDB_NOTES", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_SWEEP_ID"),
        *("WANDB_SWEEP_PARAM_PATH", "WANDB_CONFIG_0", "WANDB_CONFIG_PATHS", "WANDB_LAUNCH_X"),
        *("WANDB_SERVICE", "WANDB_DISABLED", "WANDB_X_SKIP_TRANSACTION_LOG", "WANDB_ARTIFACTS"),
    ],
)
def test_what_one_run_has_does_not_pass(name: str):
    assert name not in build(build_launch(), {name: "of the worker"})


def test_configuration_folder_passes():
    assert build(build_launch(), {"WANDB_CONFIG_DIR": "/c"})["WANDB_CONFIG_DIR"] == "/c"


@pytest.mark.parametrize(
    "name",
    ["WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_X_EXTRA_HTTP_HEADERS"],
)
def test_key_passes_only_if_it_is_needed(name: str):
    assert build(build_launch(), {name: "s"})[name] == "s"
    assert name not in build(build_launch(), {name: "s"}, is_online=False)


@pytest.mark.parametrize(
    "name",
    [
        *("NETRC", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    ],
)
def test_way_to_wandb_is_that_of_the_worker(name: str):
    assert name in describe_wandb({name: "w"}).environment
    assert build(build_launch(), {name: "w"})[name] == "w"
    assert name not in build(build_launch(), {name: "w"}, is_online=False)


def test_offline():
    assert build(build_launch(), {"WANDB_MODE": "online"}, is_online=False)["WANDB_MODE"] == (
        "offline"
    )


@pytest.mark.parametrize("size", [99_000, 250_000])
def test_config_fits_into_variables(size: int):
    environment = build(build_launch(params={"text": "é" * (size // 6)}))

    chunks = [environment[name] for name in sorted(environment) if name.startswith("WANDB_CONFIG")]
    assert json.loads("".join(chunks))["text"] == "é" * (size // 6)
    assert all(len(f"WANDB_CONFIG_0={chunk}\0".encode()) <= 128 * 1024 for chunk in chunks)
    # wandb reads the chunks only if there is no WANDB_CONFIG.
    assert ("WANDB_CONFIG" in environment) == (len(chunks) == 1) == (size < 100_000)


def test_parameter_named_as_our_labels_is_refused():
    with pytest.raises(LaunchRefused, match="asktell"):
        build(build_launch(params={"asktell": 1}))


def test_labels_are_made_to_fit():
    tags = ["a,b", " c ", "", ",", "d" * 70, "c"]

    environment = build(build_launch({"tags": tags, "group": " g\0" * 100}, study="s" * 300))

    assert environment["WANDB_TAGS"].split(",") == ["a b", "c", "d" * 64]
    assert environment["WANDB_RUN_GROUP"] == (" g" * 100).strip()[:128].strip()
    assert len(build(build_launch(study="s" * 300))["WANDB_RUN_GROUP"]) == 128


def test_reference_of_a_run():
    path = RunPath("acme", "digits", "k3v9x2ab-12-1")

    assert path.external_ref == "acme/digits/k3v9x2ab-12-1"
    assert RunPath.from_external_ref(path.external_ref) == path


@pytest.mark.parametrize(
    "reference", [build_offline_ref("digits", "x"), "", "a/b", "a/b/c/d", "a//c", "process:h:x"]
)
def test_reference_of_what_is_not_on_wandb(reference: str):
    assert RunPath.from_external_ref(reference) is None
    assert find_run_url(reference, {}) is None


@pytest.mark.parametrize(
    ("base_url", "app"),
    [
        (None, "https://wandb.ai"),
        ("https://api.wandb.ai/", "https://wandb.ai"),
        ("https://api.wandb.example", "https://wandb.example"),
        ("https://api.ml.example", "https://app.ml.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://wandb.ai", "https://wandb.ai"),
        ("https://me:s3cret@api.ml.example:8443/", "https://app.ml.example:8443"),
        ("https://me:s3c@ret@wandb.example/w", "https://wandb.example/w"),
    ],
)
def test_url(base_url: str | None, app: str):
    environment = {} if base_url is None else {"WANDB_BASE_URL": base_url}

    assert find_run_url("acme/a b@c/x-1-1", environment) == f"{app}/acme/a%20b%40c/runs/x-1-1"


def test_where_runs_go():
    assert find_project({}, {}) == "uncategorized"
    assert find_project({"project": None}, {"WANDB_PROJECT": "w"}) == "w"
    assert find_entity({"entity": None}, {}) is None
    assert find_entity({"entity": "a"}, {"WANDB_ENTITY": "w"}) == "a"
