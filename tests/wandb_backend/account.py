"""Who asks, and what this server can do."""

from tests.wandb_backend.world import Answer, Variables, World


def find_viewer(world: World, variables: Variables) -> Answer:
    """The owner of the key."""
    viewer = {
        "id": "VXNlcjox",
        "name": "Tester",
        "entity": world.entity,
        "username": world.entity,
        "email": "tester@example.com",
        "flags": "{}",
        "admin": False,
        "deletedAt": None,
        "apiKeys": {"edges": []},
        "teams": {"edges": [{"node": {"name": world.entity}}]},
    }
    return {"viewer": viewer}


def list_features(world: World, variables: Variables) -> Answer:
    features = [{"name": name, "isEnabled": True} for name in sorted(world.features)]
    return {"serverInfo": {"features": features}}


def find_organization(world: World, variables: Variables) -> Answer:
    """Of personal accounts there is none."""
    return {"entity": {"organization": None}}


OPERATIONS = {
    "Viewer": find_viewer,
    "GetViewer": find_viewer,
    "GetDefaultEntity": find_viewer,
    "ServerFeaturesQuery": list_features,
    "OrganizationCoreWeaveOrganizationID": find_organization,
}
