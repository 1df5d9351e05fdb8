"""Optimizers in the containers' genuine entrypoint, with a stand-in for flyteadmin behind them."""

import pytest
from flytekit.configuration import ImageConfig, SerializationSettings
from flytekit.core.base_task import PythonTask
from flytekit.core.context_manager import FlyteEntities

from tests.flyte.remotes import open_remote
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT, VERSION
from tests.sdk_flyte import stacked

MODULE = stacked.__name__


@pytest.fixture(scope="module")
def admin(shared_flyte_admin: FlyteAdmin) -> FlyteAdmin:
    """An admin that has all tasks of the module, which `pyflyte register` finds as flytekit does:
    not by looking at the module, but in the list that tasks enter when they are made.
    """
    settings = SerializationSettings(
        image_config=ImageConfig.auto(img_name="example.com/stand-in:1"),
        project=PROJECT,
        domain=DOMAIN,
        version=VERSION,
    )
    remote = open_remote(shared_flyte_admin)
    for entity in FlyteEntities.entities:
        if isinstance(entity, PythonTask) and entity.name.startswith(MODULE):
            remote.register_task(entity, settings, VERSION)
    return shared_flyte_admin


def test_a_task_below_the_decorator_runs(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    task = remote.fetch_task(name=f"{MODULE}.objective", version=VERSION)
    remote.execute(task, {"x": 0.5, "power": 2}, execution_name="stacked")
    assert admin.wait_for("stacked", "SUCCEEDED").outputs == {"o0": 0.25}


def test_an_eager_task_awaits_the_decorated_one(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    task = remote.fetch_task(name=f"{MODULE}.train", version=VERSION)
    remote.execute(task, {}, execution_name="train")
    assert admin.wait_for("train", "SUCCEEDED").outputs == {"o0": 3}


def test_pruned_and_failed_tasks_elsewhere_are_told_apart(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    task = remote.fetch_task(name=f"{MODULE}.try_all", version=VERSION)
    remote.execute(task, {}, execution_name="try-all")
    ends = admin.wait_for("try-all", "SUCCEEDED").outputs["o0"]
    assert ends["0.1"] == "PRUNED "
    assert ends["0.3"] == "COMPLETE "
    assert ends["0.9"].startswith("FAIL ")
    assert "ValueError: 0.9 is too much" in ends["0.9"]


def test_an_error_that_is_raised_terminates_the_other_executions(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    task = remote.fetch_task(name=f"{MODULE}.stop_at_error", version=VERSION)
    remote.execute(task, {}, execution_name="stop")
    error = admin.wait_for("stop", "FAILED").error
    assert error is not None
    assert "ValueError: 1.0 is too much" in error.message
    sleeping = [
        name
        for name, record in admin.executions.items()
        if record.spec.launch_plan.name == f"{MODULE}.sleep"
    ]
    assert len(sleeping) == 1
    admin.wait_for(sleeping[0], "ABORTED")


def test_executions_are_shown_and_each_optimizer_has_its_own(admin: FlyteAdmin) -> None:
    remote = open_remote(admin)
    before = set(admin.executions)
    task = remote.fetch_task(name=f"{MODULE}.show_all", version=VERSION)
    remote.execute(task, {}, execution_name="show")
    shown = admin.wait_for("show", "SUCCEEDED").outputs["o0"]
    names = admin.executions.keys() - before - {"show"}
    assert len(names) == 2
    assert all(name in shown for name in names)
