"""How a client of Flyte is opened where nobody can answer a login in a browser."""

from dataclasses import replace

from flytekit.clients.auth_helper import register_authenticator_plugin
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import AuthType, PlatformConfig
from flytekit.configuration.file import get_config_file

_ANONYMOUS = "asktell-anonymous"
_INTERACTIVE = (AuthType.STANDARD, AuthType.PKCE, AuthType.DEVICEFLOW)
_CLIENT_CREDENTIALS = AuthType.CLIENT_CREDENTIALS


class Anonymous:
    """What flytekit takes for an authenticator: has no credentials, and never asks for any."""

    def fetch_grpc_call_auth_metadata(self) -> None:
        """Nothing is sent along."""

    def refresh_credentials(self) -> None:
        """There are none: the call is repeated as it was, and its error says what is missing."""


def open_client(platform: PlatformConfig) -> SynchronousFlyteClient:
    """A client by these settings."""
    register_authenticator_plugin(_ANONYMOUS, lambda _config, _store: Anonymous())
    return SynchronousFlyteClient(platform)


def find_platform() -> PlatformConfig:
    """The settings that flytekit finds, in its configuration file or variables.

    By these every call is made once: who calls repeats it if that may help, after a pause. And no
    login is tried that needs a person.
    """
    # Else it would be what the file said at the first time.
    get_config_file.cache_clear()
    found = PlatformConfig.auto()
    return replace(found, rpc_retries=0, auth_mode=_choose_auth_mode(found))


def find_console(platform: PlatformConfig) -> str:
    """Where Flyte's pages are, without a slash at the end."""
    if platform.console_endpoint:
        return str(platform.console_endpoint).rstrip("/")
    scheme = "http" if platform.insecure else "https"
    host = platform.endpoint.rstrip("/").rpartition("/")[2]
    return f"{scheme}://{host}"


def _choose_auth_mode(found: PlatformConfig) -> AuthType | str:
    mode = _read_auth_mode(found.auth_mode)
    if mode not in _INTERACTIVE:
        return mode
    has_credentials = found.client_id and found.client_credentials_secret
    return _CLIENT_CREDENTIALS if has_credentials else _ANONYMOUS


def _read_auth_mode(mode: AuthType | str) -> AuthType | str:
    """flytekit takes the name of a mode, or its value, as text."""
    if isinstance(mode, AuthType):
        return mode
    known = {name: each for each in AuthType for name in (each.name.lower(), each.value.lower())}
    return known.get(mode.lower(), mode)
