"""POST /studies/{study}/adopt and /release."""

from collections.abc import Iterator

import httpx
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage

from service.storage.database import Database
from tests.api.problems import assert_problem, get_fields
from tests.plain_optuna import open_rdb_storage


@pytest.fixture
def storage(database: Database) -> Iterator[RDBStorage]:
    with open_rdb_storage(database) as storage:
        yield storage


@pytest.fixture
def plain(storage: RDBStorage) -> str:
    """The path of a study of plain Optuna with a result and a running trial."""
    study = optuna.create_study(storage=storage, study_name="plain", direction="maximize")
    study.tell(study.ask({"x": FloatDistribution(0, 1)}), 0.5)
    study.ask()
    return "/studies/plain"


async def test_adopts_as_it_is(api: httpx.AsyncClient, plain: str) -> None:
    assert_problem(await api.get(plain), 404, "study-not-found")

    response = await api.post(f"{plain}/adopt")

    assert response.status_code == 200
    study = response.json()
    assert study == (await api.get(plain)).json()
    assert study["best"] == {"number": 0, "value": 0.5}
    assert (study["counts"]["running"], study["counts"]["total"]) == (1, 2)
    assert study["sampler"]["type"] == "TPESampler"
    assert (study["pruner"], study["space"], study["lease_seconds"]) == (None, None, 3600)
    asked = (await api.post(f"{plain}/ask")).json()["trials"]
    assert [trial["number"] for trial in asked] == [2]
    told = await api.post(f"{plain}/trials/1/tell", json={"state": "COMPLETE", "values": 0.75})
    assert told.status_code == 200


async def test_adopts_with_settings(api: httpx.AsyncClient, plain: str) -> None:
    body = {
        "sampler": {"type": "RandomSampler"},
        "pruner": {"type": "MedianPruner"},
        "seed": 7,
        "budget": {"max_trials": 1},
        "parallelism": 2,
        "lease_seconds": None,
        "retry": {"max_attempts": 1},
    }

    study = (await api.post(f"{plain}/adopt", json=body)).json()

    assert study["sampler"]["type"] == "RandomSampler"
    assert study["pruner"]["type"] == "MedianPruner"
    assert study["seed"] == 7
    assert study["budget"]["max_trials"] == 1
    assert (study["parallelism"], study["lease_seconds"]) == (2, None)
    assert study["retry"]["max_attempts"] == 1
    assert (await api.post(f"{plain}/ask")).status_code == 200
    assert_problem(await api.post(f"{plain}/ask"), 409, "study-finished")


async def test_refuses_to_adopt(
    api: httpx.AsyncClient, study: str, plain: str, subtests: pytest.Subtests
) -> None:
    for name in ("nobody", "%00", "n" * 600):
        with subtests.test(name=name):
            response = await api.post(f"/studies/{name}/adopt")
            assert_problem(response, 404, "study-not-found")
    for body, field in (
        ({"smapler": {}}, "smapler"),
        ({"seed": -1}, "seed"),
        ({"budget": {"max_trials": 0}}, "budget.max_trials"),
        ({"direction": "minimize"}, "direction"),
    ):
        with subtests.test(body=body):
            response = await api.post(f"{plain}/adopt", json=body)
            problem = assert_problem(response, 422, "invalid-request")
            assert get_fields(problem) == [field]
    bad_sampler = {"sampler": {"type": "TPESampeler"}}
    assert_problem(await api.post(f"{plain}/adopt", json=bad_sampler), 422, "invalid-sampler")
    assert_problem(await api.post(f"{study}/adopt"), 409, "study-exists")
    assert_problem(await api.get(plain), 404, "study-not-found")


async def test_refuses_a_study_it_could_not_go_on_with(
    api: httpx.AsyncClient, storage: RDBStorage
) -> None:
    study = optuna.create_study(storage=storage, study_name="odd")
    storage.set_study_system_attr(study._study_id, "study:metric_names", ["a", "b"])

    response = await api.post("/studies/odd/adopt")

    assert_problem(response, 409, "study-not-adoptable")


async def test_releases(api: httpx.AsyncClient, study: str, storage: RDBStorage) -> None:
    await api.post(f"{study}/ask", json={"count": 2})
    await api.post(f"{study}/trials/0/tell", json={"state": "COMPLETE", "values": 0.5})
    assert_problem(await api.post(f"{study}/release"), 409, "study-in-use")

    response = await api.post(f"{study}/release", json={"force": True})

    assert response.status_code == 200
    assert response.json() == {"failed": [1]}
    assert_problem(await api.get(study), 404, "study-not-found")
    assert_problem(await api.post(f"{study}/release"), 404, "study-not-found")
    loaded = optuna.load_study(study_name="digits", storage=storage)
    assert [trial.state.name for trial in loaded.trials] == ["COMPLETE", "FAIL"]
    loaded.tell(loaded.ask(), 1.0)
    assert (await api.post(f"{study}/adopt")).json()["best"] == {"number": 2, "value": 1.0}


async def test_refuses_bad_bodies_of_release(api: httpx.AsyncClient, study: str) -> None:
    for body, field in (({"force": 1}, "force"), ({"forced": True}, "forced")):
        response = await api.post(f"{study}/release", json=body)
        assert get_fields(assert_problem(response, 422, "invalid-request")) == [field]
    assert (await api.get(study)).status_code == 200


async def test_adopted_again_it_is_another_version(
    api: httpx.AsyncClient, plain: str, storage: RDBStorage
) -> None:
    pages = ("/studies", plain, f"{plain}/history")
    await api.post(f"{plain}/adopt")
    known = {page: (await api.get(page)).headers["etag"] for page in pages}
    await api.post(f"{plain}/release", json={"force": True})
    study = optuna.load_study(study_name="plain", storage=storage)
    study.tell(study.ask(), 0.75)
    await api.post(f"{plain}/adopt")

    for page, etag in known.items():
        assert (await api.get(page, headers={"If-None-Match": etag})).status_code == 200, page
