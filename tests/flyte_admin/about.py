"""What clients ask admin about itself: projects, domains, version, how to get in."""

from typing import Any

from flyteidl.admin import project_pb2, version_pb2
from flyteidl.service import auth_pb2

from tests.flyte_admin.world import World

# The name of the metadata in which admin wants tokens.
TOKEN_KEY = "flyte-authorization"


def list_projects(world: World, request: Any) -> Any:
    return project_pb2.Projects(
        projects=[project_pb2.Project(id=name, name=name) for name in sorted(world.projects)]
    )


def get_domains(world: World, request: Any) -> Any:
    return project_pb2.GetDomainsResponse(
        domains=[project_pb2.Domain(id=name, name=name) for name in sorted(world.domains)]
    )


def get_version(world: World, request: Any) -> Any:
    return version_pb2.GetVersionResponse(
        control_plane_version=version_pb2.Version(Version="stand-in")
    )


def get_oauth2_metadata(world: World, request: Any) -> Any:
    return auth_pb2.OAuth2MetadataResponse(
        issuer=world.files_url, token_endpoint=f"{world.files_url}/oauth2/token"
    )


def get_public_client_config(world: World, request: Any) -> Any:
    return auth_pb2.PublicClientAuthConfigResponse(
        client_id="flytectl", scopes=["all"], authorization_metadata_key=TOKEN_KEY
    )


OPERATIONS = {
    "ListProjects": list_projects,
    "GetDomains": get_domains,
    "GetVersion": get_version,
    "GetOAuth2Metadata": get_oauth2_metadata,
    "GetPublicClientConfig": get_public_client_config,
}
# Those that ask how to get in need no token.
FOR_EVERYBODY = frozenset({"GetOAuth2Metadata", "GetPublicClientConfig"})
