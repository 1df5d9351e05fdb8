"""Where the client finds the server and its token."""

import os
from pathlib import Path

import asktell
import pytest
from asktell._settings import data_dir, find_token, find_url, is_loopback_host

LOCAL = "http://127.0.0.1:8700"


def test_the_url_is_argument_environment_running_server_or_default(tmp_path: Path) -> None:
    local = {"ASKTELL_DATA_DIR": str(tmp_path)}
    assert find_url(None, local) == LOCAL
    (tmp_path / "address").write_text("http://127.0.0.1:8733\n")
    assert find_url(None, local) == "http://127.0.0.1:8733"
    environ = local | {"ASKTELL_URL": "https://box/asktell/"}
    assert find_url(None, environ) == "https://box/asktell"
    assert find_url("http://other:1", environ) == "http://other:1"


@pytest.mark.parametrize("url", ["box:8700", "ftp://box", "http://", "/studies", "http://[::"])
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(asktell.ConfigurationError, match="URL"):
        find_url(url, {})


@pytest.mark.parametrize(
    "url", ["http://ada:s3cret@box:8700", "ftp://ada:s3cret@box", "http://ada:s3cret@[::"]
)
def test_a_password_in_the_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(asktell.ConfigurationError, match="ASKTELL_TOKEN") as caught:
        find_url(url, {})
    assert "s3cret" not in str(caught.value)


def test_the_token_is_the_argument_then_the_environment_then_the_file(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(f"{LOCAL}\n")
    (tmp_path / "token").write_text("from-file\n")
    environ = {"ASKTELL_TOKEN": "from-environment", "ASKTELL_DATA_DIR": str(tmp_path)}
    assert find_token("given", environ, url=LOCAL) == "given"
    assert find_token(None, environ, url=LOCAL) == "from-environment"
    environ.pop("ASKTELL_TOKEN")
    assert find_token(None, environ, url=LOCAL) == "from-file"


def test_the_environment_may_name_a_file_for_any_server(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-secret\n")
    environ = {"ASKTELL_TOKEN_FILE": str(tmp_path / "secret"), "ASKTELL_DATA_DIR": str(tmp_path)}
    (tmp_path / "token").write_text("from-file")

    assert find_token(None, environ, url=LOCAL) == "from-secret"
    assert find_token(None, environ, url="https://box.example") == "from-secret"
    assert find_token(None, environ | {"ASKTELL_TOKEN": "first"}, url=LOCAL) == "first"
    for content in (None, ""):
        (tmp_path / "secret").unlink()
        if content is not None:
            (tmp_path / "secret").write_text(content)
        with pytest.raises(asktell.ConfigurationError, match="secret"):
            find_token(None, environ, url=LOCAL)
        (tmp_path / "secret").touch()


@pytest.mark.parametrize(
    "url", ["https://box.example", "http://127.0.0.1:8701", "http://localhost:8700"]
)
def test_the_token_of_a_data_directory_goes_to_its_own_server_alone(
    tmp_path: Path, url: str
) -> None:
    (tmp_path / "address").write_text(f"{LOCAL}\n")
    (tmp_path / "token").write_text("from-file")
    with pytest.raises(asktell.ConfigurationError, match="ASKTELL_TOKEN") as caught:
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=url)
    assert f"is for {LOCAL} alone" in str(caught.value)


def test_the_token_of_a_stopped_server_goes_nowhere(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file")
    with pytest.raises(asktell.ConfigurationError, match="asktell serve") as caught:
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=LOCAL)
    assert f"No server runs on {tmp_path}" in str(caught.value)


def test_a_missing_token_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(LOCAL)
    with pytest.raises(asktell.ConfigurationError, match="Set ASKTELL_TOKEN") as caught:
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=LOCAL)
    assert str(tmp_path) in str(caught.value)


def test_an_unreadable_token_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(LOCAL)
    (tmp_path / "token").mkdir()
    with pytest.raises(asktell.ConfigurationError, match="cannot be read"):
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=LOCAL)


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    for which in ("getuid", "geteuid"):
        monkeypatch.setattr(os, which, lambda: 987_654)
    with pytest.raises(asktell.ConfigurationError, match="ASKTELL_DATA_DIR"):
        find_url(None, {})


@pytest.mark.parametrize(
    ("host", "is_near"),
    [("127.0.0.1", True), ("::1", True), ("LocalHost", True), ("0.0.0.0", False), ("127.a", False)],
)
def test_knows_the_names_of_the_machine_itself(host: str, is_near: bool) -> None:
    assert is_loopback_host(host) is is_near


@pytest.mark.parametrize("token", ["two words", "new\nline", "ümlaut"])
def test_a_token_that_no_header_can_carry_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(asktell.ConfigurationError) as caught:
        find_token(token, {}, url=LOCAL)
    assert token not in str(caught.value)


def test_the_data_directory_is_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = pytest.importorskip("service.settings")
    for name in ("ASKTELL_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert data_dir({}) == settings.find_default_data_dir()


def test_the_data_directory_can_be_named() -> None:
    assert data_dir({"ASKTELL_DATA_DIR": "/somewhere"}) == Path("/somewhere")
