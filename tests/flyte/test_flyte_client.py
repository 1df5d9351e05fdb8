"""The settings by which a client of Flyte is opened."""

from pathlib import Path

import pytest
from flytekit.configuration import AuthType, Config, PlatformConfig
from flytekit.remote import FlyteRemote

from service.schedulers.executors.flyte.client import find_console, find_platform


@pytest.mark.parametrize(
    "platform",
    [
        PlatformConfig(endpoint="flyte.example.org"),
        PlatformConfig(endpoint="127.0.0.1:30080", insecure=True),
        PlatformConfig(endpoint="flyte:8089", console_endpoint="https://flyte.example.org"),
    ],
    ids=lambda platform: platform.endpoint,
)
def test_pages_are_where_flytekit_has_them(platform: PlatformConfig) -> None:
    remote = FlyteRemote(Config(platform=platform), interactive_mode_enabled=False)

    assert find_console(platform) == remote.generate_console_http_domain()


def test_pages_of_what_is_resolved_by_name() -> None:
    assert find_console(PlatformConfig(endpoint="dns:///flyte.example.org:443")) == (
        "https://flyte.example.org:443"
    )


CREDENTIALS = "  clientId: worker\n  clientSecretEnvVar: SECRET\n"


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ("", "asktell-anonymous"),
        ("  authType: Pkce\n", "asktell-anonymous"),
        ("  authType: DeviceFlow\n", "asktell-anonymous"),
        (CREDENTIALS, AuthType.CLIENTSECRET),
        (f"  authType: Pkce\n{CREDENTIALS}", AuthType.CLIENTSECRET),
        (f"  authType: ClientSecret\n{CREDENTIALS}", AuthType.CLIENTSECRET),
        ("  authType: ExternalCommand\n", AuthType.EXTERNALCOMMAND),
        ("  authType: gcp_id_token\n", "gcp_id_token"),
    ],
)
def test_no_login_needs_a_person(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: str, mode: AuthType | str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"admin:\n  endpoint: flyte.example.org\n{settings}")
    monkeypatch.setenv("FLYTECTL_CONFIG", str(file))
    monkeypatch.setenv("SECRET", "a-secret")

    found = find_platform()

    assert (found.endpoint, found.auth_mode) == ("flyte.example.org", mode)
    assert found.rpc_retries == 0


def test_client_with_a_secret_is_one_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLYTE_CREDENTIALS_CLIENT_ID", "worker")
    monkeypatch.setenv("FLYTE_CREDENTIALS_CLIENT_SECRET", "a-secret")

    assert find_platform().auth_mode is AuthType.CLIENT_CREDENTIALS
