"""What the process that calls Flyte is told by its worker."""

from service.schedulers.executors.flyte.system import describe_flyte

WORKER = {
    "PATH": "/usr/bin",
    "HOME": "/home/worker",
    "HTTPS_PROXY": "http://proxy:3128",
    "FLYTECTL_CONFIG": "/etc/flyte.yaml",
    "FLYTE_PLATFORM_URL": "flyte.example.org",
    "FLYTE_CREDENTIALS_CLIENT_SECRET": "a-secret",
    "FLYTE_SDK_LOGGING_LEVEL": "10",
    "ASKTELL_API_KEY": "nothing of Flyte's",
    "WANDB_API_KEY": "nothing of Flyte's",
}


def test_process_has_flytes_settings_and_no_others_secrets() -> None:
    environment = describe_flyte(WORKER).environment

    assert environment == {
        **{name: value for name, value in WORKER.items() if value != "nothing of Flyte's"},
        "FLYTE_SDK_LOGGING_LEVEL": "50",
    }


def test_secret_may_be_in_a_variable_of_any_name() -> None:
    named = {"FLYTE_CREDENTIALS_CLIENT_SECRET_ENV_VAR": "OURS", "OURS": "other-secret"}
    system = describe_flyte({"PATH": "/usr/bin", **named})

    assert system.environment["OURS"] == "other-secret"
    assert system.redact("invalid: other-secret") == "invalid: …"


def test_secret_is_shown_nowhere() -> None:
    system = describe_flyte(WORKER)

    assert "a-secret" not in repr(system)
    assert system.redact("invalid: a-secret") == "invalid: …"


def test_place_is_what_people_know() -> None:
    assert describe_flyte(WORKER).host == "flyte.example.org"
    assert describe_flyte({}).host == "the endpoint of its configuration"
