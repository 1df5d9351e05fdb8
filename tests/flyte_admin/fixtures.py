"""Fixtures for tests that need a Flyte. Import them in a conftest; flytekit stays outside."""

from collections.abc import Iterator

import pytest

from tests.flyte_admin.admin import FlyteAdmin
from tests.flyte_admin.programs import Zygote


@pytest.fixture(scope="session")
def flyte_zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """The warm process from which the programs of all admins are forked."""
    zygote = Zygote(tmp_path_factory.mktemp("zygote"))
    yield zygote
    zygote.close()


@pytest.fixture
def flyte_admin(flyte_zygote: Zygote) -> Iterator[FlyteAdmin]:
    """An admin of the test's own, without any tasks.

    The test fails if something came that it does not know.
    """
    with FlyteAdmin(zygote=flyte_zygote) as admin:
        yield admin
        assert admin.unknown == [], f"Teach tests/flyte_admin this: {admin.unknown}"


@pytest.fixture(scope="module")
def shared_flyte_admin(flyte_zygote: Zygote) -> Iterator[FlyteAdmin]:
    """Such an admin for all tests of a module: use names of the test's own."""
    with FlyteAdmin(zygote=flyte_zygote) as admin:
        yield admin
        assert admin.unknown == [], f"Teach tests/flyte_admin this: {admin.unknown}"
