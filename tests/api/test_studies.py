"""POST /studies, GET and DELETE /studies/{study}."""

from urllib.parse import quote

import httpx
import pytest

from tests.api.conftest import SPACE
from tests.api.problems import assert_problem, get_fields

STUDY = {"name": "digits", "direction": "maximize", "space": SPACE, "seed": 1}


async def test_creates_a_study(api: httpx.AsyncClient) -> None:
    response = await api.post("/studies", json=STUDY)

    assert response.status_code == 201
    created = response.json()
    assert created["name"] == "digits"
    assert created["state"] == "active"
    assert [each["direction"] for each in created["objectives"]] == ["maximize"]
    assert created["counts"]["total"] == 0
    assert created["best"] is None
    assert created["created_at"].endswith("Z")
    shown = (await api.get("/studies/digits")).json()
    assert shown["space"] == SPACE
    assert shown["seed"] == 1
    assert shown["sampler"]["type"] == "TPESampler"
    assert shown["pruner"] is None


async def test_creates_a_study_of_several_objectives(api: httpx.AsyncClient) -> None:
    objectives = [
        {"name": "accuracy", "direction": "maximize"},
        {"name": "seconds", "direction": "minimize"},
    ]

    response = await api.post("/studies", json={"name": "two", "objectives": objectives})

    assert response.status_code == 201
    assert response.json()["objectives"] == objectives


async def test_refuses_a_taken_name(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json=STUDY)

    assert_problem(await api.post("/studies", json=STUDY), 409, "study-exists")


async def test_loads_the_same_study(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json=STUDY)

    again = await api.post("/studies", json={**STUDY, "if_exists": "load"})
    other = await api.post("/studies", json={**STUDY, "seed": 2, "if_exists": "load"})
    turned = {**STUDY, "direction": "minimize", "if_exists": "load"}
    mirrored = await api.post("/studies", json=turned)

    assert again.status_code == 200
    assert "a different seed" in assert_problem(other, 409, "study-exists")["detail"]
    detail = assert_problem(mirrored, 409, "study-exists")["detail"]
    assert "exists with different objectives." in detail


async def test_refuses_bad_fields(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for change, field, words in [
        ({"nmae": "x"}, "nmae", '"name"'),
        ({"name": 5}, "name", "string"),
        ({"direction": "up"}, "direction", "minimize"),
        ({"direction": None}, "body", "direction"),
        ({"objectives": [{"name": "a", "direction": "minimize"}]}, "body", "either"),
        ({"seed": True}, "seed", "integer"),
        ({"seed": -1}, "seed", "0"),
        ({"seed": 2**32}, "seed", "4294967296"),
        ({"sampler": {"type": "RandomSampler", "arg": {}}}, "sampler.arg", '"args"'),
        ({"sampler": "RandomSampler"}, "sampler", ""),
        ({"user_attrs": {"a\0b": 1}}, "user_attrs", "NUL"),
        ({"user_attrs": {"a": ["b", {"c": "d\0"}]}}, "user_attrs", "NUL"),
        ({"user_attrs": {"a": {"b\0": 1}}}, "user_attrs", "NUL"),
        ({"user_attrs": {"k" * 513: 1}}, "user_attrs", "512"),
        ({"if_exists": "replace"}, "if_exists", "load"),
    ]:
        with subtests.test(change=change):
            body = {key: value for key, value in {**STUDY, **change}.items() if value is not None}

            problem = assert_problem(await api.post("/studies", json=body), 422, "invalid-request")

            assert get_fields(problem) == [field]
            assert words in problem["errors"][0]["message"]
            assert_problem(await api.get("/studies/digits"), 404, "study-not-found")


async def test_refuses_impossible_names(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for name in ["", "a/b", "a\0b", "n" * 513]:
        with subtests.test(name=name):
            assert_problem(
                await api.post("/studies", json={**STUDY, "name": name}), 422, "invalid-name"
            )


async def test_refuses_bad_spaces(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for parameter in [
        {"type": "float", "low": 1.0, "high": 0.0},
        {"type": "float", "low": 0.0, "high": 1.0, "log": True},
        {"type": "int", "low": 0, "high": 4, "step": 0},
        {"type": "categorical", "choices": []},
        {"type": "float", "low": 0.0, "high": 1.0, "when": {"nobody": [1]}},
        {"type": "float", "low": 0.0, "high": 1.0, "when": {"lr": [0.5]}},
        {"type": "flaot", "low": 0.0, "high": 1.0},
    ]:
        with subtests.test(parameter=parameter):
            response = await api.post("/studies", json={**STUDY, "space": {"lr": parameter}})

            problem = assert_problem(response, 422, "invalid-space")
            assert all("lr" in field for field in get_fields(problem))
            assert_problem(await api.get("/studies/digits"), 404, "study-not-found")


async def test_refuses_bad_components(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for part, component, code in [
        ("sampler", {"type": "TPESampeler"}, "invalid-sampler"),
        ("sampler", {"type": "TPESampler", "args": {"n_startup": 1}}, "invalid-sampler"),
        ("pruner", {"type": "MedianPurner"}, "invalid-pruner"),
        ("pruner", {"type": "MedianPruner", "args": {"n_startup_trials": -1}}, "invalid-pruner"),
    ]:
        with subtests.test(part=part):
            assert_problem(await api.post("/studies", json={**STUDY, part: component}), 422, code)


async def test_refuses_malformed_json(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for body in [b"", b"{", b'{"name": NaN}', b'{"name": "\\ud800"}', b"\xff", b"[" * 5000]:
        with subtests.test(body=body):
            response = await api.post(
                "/studies", content=body, headers={"Content-Type": "application/json"}
            )

            code = "malformed-json" if body else "invalid-request"
            assert_problem(response, 400 if body else 422, code)


async def test_addresses_any_name(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for name in ["a b", "50%", "a?b", "a#b", "ü/".strip("/"), "%2F", "日本", ".."]:
        with subtests.test(name=name):
            assert (await api.post("/studies", json={**STUDY, "name": name})).status_code == 201

            # As bytes on the wire: clients would resolve ".." by themselves.
            path = "/studies/" + quote(name, safe="").replace(".", "%2E")
            assert (await api.get(path)).json()["name"] == name
            assert (await api.post(f"{path}/ask")).status_code == 200
            assert (await api.delete(path)).status_code == 204


async def test_keeps_attributes_exactly(api: httpx.AsyncClient) -> None:
    attributes = {"wide": 2**70, "nested": {"list": [1, None, "ü"]}, "": "no name"}
    del attributes[""]

    await api.post("/studies", json={**STUDY, "user_attrs": attributes})

    stored = (await api.get("/studies/digits")).json()
    assert stored["user_attrs"] == attributes
    assert not stored["is_sweep"]


async def test_deletes_a_study(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask")

    assert (await api.delete(study)).status_code == 204

    for response in (
        await api.delete(study),
        await api.get(study),
        await api.post(f"{study}/ask"),
        await api.get(f"{study}/trials"),
        await api.get(f"{study}/best"),
        await api.post(f"{study}/trials/0/tell", json={"state": "FAIL"}),
    ):
        assert_problem(response, 404, "study-not-found")


async def test_knows_no_such_study(api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
    for name in ["nobody", "%00", "n" * 600]:
        with subtests.test(name=name):
            for response in (
                await api.get(f"/studies/{name}"),
                await api.delete(f"/studies/{name}"),
                await api.post(f"/studies/{name}/ask"),
            ):
                assert_problem(response, 404, "study-not-found")
