"""Settings from the environment, and the files of the data directory."""

import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from service.cli.data_dir import (
    find_address,
    find_token,
    get_or_make_token,
    make_data_dir,
    publish_address,
)
from service.cli.failures import CannotStart
from service.cli.listening import build_url, find_own_hosts, open_listener
from service.cli.options import load_settings
from service.settings import Settings


def get_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_reads_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASKTELL_ALLOWED_HOSTS", "Server, asktell.example ,")
    monkeypatch.setenv("ASKTELL_DATABASE_URL", "postgresql://user:hidden@db/asktell")
    monkeypatch.setenv("ASKTELL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ASKTELL_TOKEN", "")

    settings = Settings()

    assert settings.allowed_hosts == ("server", "asktell.example")
    assert settings.data_dir == tmp_path
    assert settings.token is None
    assert "hidden" not in repr(settings)


def test_refuses_a_weak_token_without_showing_it() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"token": "hunter2"})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("host", ["http://box", "box:8700", "box/path", "two words"])
def test_refuses_what_is_no_host_name(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ASKTELL_ALLOWED_HOSTS", host)

    with pytest.raises(CannotStart, match="ASKTELL_ALLOWED_HOSTS"):
        load_settings()


def test_takes_names_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = ("*", "box", "a.example", "10.0.0.7", "[fe80::1]")
    monkeypatch.setenv("ASKTELL_ALLOWED_HOSTS", ",".join(hosts))

    assert load_settings().allowed_hosts == hosts


def test_secrets_may_lie_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-from-a-file\n")
    (tmp_path / "url").write_text("postgresql://user:hidden@db/asktell\n")
    monkeypatch.setenv("ASKTELL_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("ASKTELL_DATABASE_URL_FILE", str(tmp_path / "url"))

    settings = Settings()

    assert settings.token is not None
    assert settings.token.get_secret_value() == "a-token-from-a-file"
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("@db/asktell")
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "token", "reason"),
    [
        (None, None, "ASKTELL_TOKEN_FILE cannot be read"),
        (" \n", None, "ASKTELL_TOKEN_FILE is empty"),
        ("a-token-from-a-file", "a-token-besides-it", "are both set"),
        ("too-short", None, "16"),
    ],
)
def test_a_secret_file_that_gives_no_secret_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: str | None,
    token: str | None,
    reason: str,
) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    monkeypatch.setenv("ASKTELL_TOKEN_FILE", str(tmp_path / "token"))
    if token is not None:
        monkeypatch.setenv("ASKTELL_TOKEN", token)

    with pytest.raises(CannotStart, match=reason) as caught:
        load_settings()

    assert content is None or not content.strip() or content not in str(caught.value)


def test_makes_a_token_once(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    make_data_dir(folder)

    token = get_or_make_token(folder)

    assert len(token) >= 32
    assert get_or_make_token(folder) == find_token(folder) == token
    assert get_mode(folder) & 0o066 == 0
    assert get_mode(folder / "token") == 0o600
    assert [path.name for path in folder.iterdir()] == ["token"]


def test_leaves_the_mode_of_an_existing_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    make_data_dir(tmp_path)

    assert get_mode(tmp_path) == 0o755


def test_refuses_an_empty_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")

    with pytest.raises(CannotStart, match="delete it"):
        get_or_make_token(tmp_path)


def test_publishes_the_address_while_it_runs(tmp_path: Path) -> None:
    with publish_address(tmp_path, "http://127.0.0.1:1"):
        assert find_address(tmp_path) == "http://127.0.0.1:1"

    assert find_address(tmp_path) is None


def test_leaves_another_servers_address(tmp_path: Path) -> None:
    with publish_address(tmp_path, "http://127.0.0.1:1"):
        (tmp_path / "address").write_text("http://127.0.0.1:2\n")

    assert find_address(tmp_path) == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("host", "url", "hosts"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", {"127.0.0.1"}),
        ("0.0.0.0", "http://127.0.0.1:80", set()),
        ("::", "http://[::1]:80", set()),
        ("192.168.1.9", "http://192.168.1.9:80", {"192.168.1.9"}),
        ("fd00::1", "http://[fd00::1]:80", {"[fd00::1]"}),
    ],
)
def test_is_reached_where_it_listens(host: str, url: str, hosts: set[str]) -> None:
    assert build_url(host, 80) == url
    assert find_own_hosts(host) == hosts


def test_names_the_taken_port() -> None:
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with (
            pytest.raises(CannotStart, match=f"{port}.*--port"),
            open_listener("127.0.0.1", port),
        ):
            pass
