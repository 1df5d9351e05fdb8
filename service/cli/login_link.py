"""`asktell login-link`: let a browser in."""

import httpx
import typer

from service.cli.data_dir import find_address, find_token
from service.cli.failures import CannotStart, explain_failures
from service.cli.listening import build_url
from service.cli.options import DataDirOption, load_settings
from service.settings import Settings

_TIMEOUT_SECONDS = 10


def login_link(data_dir: DataDirOption = None) -> None:
    """Print a link that logs one browser in, once, within ten minutes. Needs a running server."""
    with explain_failures():
        settings = load_settings(data_dir=data_dir)
        url = find_address(settings.data_dir) or build_url(settings.host, settings.port)
        typer.echo(_ask_for_link(url, _find_token(settings)))


def _find_token(settings: Settings) -> str:
    if settings.token is not None:
        return settings.token.get_secret_value()
    token = find_token(settings.data_dir)
    if token is None:
        raise CannotStart(
            f"There is no token in {settings.data_dir}; start `asktell serve` first, or name its "
            "folder by --data-dir."
        )
    return token


def _ask_for_link(url: str, token: str) -> str:
    # Proxies of the environment are for the outside; the token must not travel through them.
    with httpx.Client(trust_env=False, timeout=_TIMEOUT_SECONDS) as client:
        try:
            response = client.post(
                f"{url}/login-links", headers={"Authorization": f"Bearer {token}"}
            )
        except httpx.TransportError as error:
            raise CannotStart(f"No server answers at {url}; start `asktell serve`.") from error
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise CannotStart(f"The server at {url} has another token than this one.")
    if not response.is_success:
        raise CannotStart(f"The server at {url} answered {response.status_code}.")
    return str(response.json()["url"])
