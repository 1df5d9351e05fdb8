"""Where the client finds the server and its token."""

from pathlib import Path

import asktell
import pytest
from asktell._settings import data_dir, find_token, find_url

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


def test_the_token_is_the_argument_then_the_environment_then_the_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    environ = {"ASKTELL_TOKEN": "from-environment", "ASKTELL_DATA_DIR": str(tmp_path)}
    assert find_token("given", environ, url=LOCAL) == "given"
    assert find_token(None, environ, url=LOCAL) == "from-environment"
    environ.pop("ASKTELL_TOKEN")
    assert find_token(None, environ, url=LOCAL) == "from-file"
    assert find_token(None, environ, url="http://[::1]:8700") == "from-file"


@pytest.mark.parametrize("url", ["https://box.example", "http://10.0.0.7:8700", "http://127.evil"])
def test_the_token_file_of_this_machine_never_goes_to_another(tmp_path: Path, url: str) -> None:
    (tmp_path / "token").write_text("from-file")
    with pytest.raises(asktell.ConfigurationError, match="ASKTELL_TOKEN"):
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=url)


def test_a_missing_token_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(asktell.ConfigurationError, match="asktell serve") as caught:
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=LOCAL)
    assert str(tmp_path) in str(caught.value)


def test_an_unreadable_token_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(asktell.ConfigurationError, match="cannot be read"):
        find_token(None, {"ASKTELL_DATA_DIR": str(tmp_path)}, url=LOCAL)


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
