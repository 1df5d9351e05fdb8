"""What a program finds in its environment."""

import pytest

from service.schedulers.executors.process.environment import build_environment


def test_usual_variables_pass_and_others_do_not():
    worker = {"PATH": "/bin", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "1", "SHLVL": "2", "DB": "x"}

    environment = build_environment(worker, (), {})

    assert environment == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "CUDA_VISIBLE_DEVICES": "1",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "WANDB_API_KEY", "WANDB_PASSWORD_FILE", "CONDA_AUTH", "XDG_CREDENTIALS"),
        *("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "hf_token", "PGPASSWORD", "NVIDIA_API_KEY"),
    ],
)
def test_secrets_pass_only_by_their_own_name(name: str):
    worker = {name: "secret"}

    assert name not in build_environment(worker, ("*", "WANDB_*"), {})
    assert build_environment(worker, (name,), {})[name] == "secret"


def test_operator_adds_names_and_patterns():
    worker = {"DATA": "/d", "WANDB_PROJECT": "p", "OTHER": "o"}

    environment = build_environment(worker, ("DATA", "WANDB_*"), {})

    assert (environment["DATA"], environment["WANDB_PROJECT"]) == ("/d", "p")
    assert "OTHER" not in environment


def test_workers_own_settings_never_pass():
    worker = {"ASKTELL_TOKEN": "of the worker", "ASKTELL_URL": "u"}

    environment = build_environment(worker, ("ASKTELL_TOKEN", "*"), {"ASKTELL_URL": "v"})

    assert environment == {"ASKTELL_URL": "v", "PYTHONUNBUFFERED": "1"}


def test_what_the_attempt_brings_wins():
    environment = build_environment({"TZ": "UTC", "PYTHONUNBUFFERED": ""}, (), {"TZ": "CET"})

    assert environment == {"TZ": "CET", "PYTHONUNBUFFERED": ""}
