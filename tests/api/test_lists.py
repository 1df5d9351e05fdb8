"""Lists: order, filters, pages, and conditional requests."""

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields


@pytest.fixture
async def names(api: httpx.AsyncClient) -> list[str]:
    names = ["alpha", "beta", "Gamma_1", "gamma%2", "zeta"]
    for name in names:
        await api.post("/studies", json={"name": name, "direction": "minimize"})
    return sorted(names)


async def list_names(api: httpx.AsyncClient, **query: str | int) -> list[str]:
    response = await api.get("/studies", params=query)
    assert response.status_code == 200, response.text
    return [study["name"] for study in response.json()["studies"]]


async def test_lists_all_studies(api: httpx.AsyncClient, names: list[str]) -> None:
    assert sorted(await list_names(api)) == names


async def test_filters_studies(api: httpx.AsyncClient, names: list[str]) -> None:
    assert sorted(await list_names(api, q="gamma")) == ["Gamma_1", "gamma%2"]
    assert await list_names(api, q="%2") == ["gamma%2"]
    assert await list_names(api, state="finished") == []


async def test_pages_through_studies(api: httpx.AsyncClient, names: list[str]) -> None:
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/studies", params=query)).json()
        seen += [study["name"] for study in page["studies"]]
        cursor, pages = page["next_cursor"], pages + 1

    assert (sorted(seen), pages) == (names, 3)


async def test_pages_through_trials(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 5})
    first = (await api.get(f"{study}/trials", params={"limit": 3})).json()
    query = {"limit": 3, "cursor": first["next_cursor"]}
    second = (await api.get(f"{study}/trials", params=query)).json()

    assert [trial["number"] for trial in first["trials"] + second["trials"]] == [0, 1, 2, 3, 4]
    assert second["next_cursor"] is None


async def test_filters_trials_by_states(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask", json={"count": 3})
    await api.post(f"{study}/trials/0/tell", json={"state": "COMPLETE", "values": 1})
    await api.post(f"{study}/trials/1/tell", json={"state": "FAIL"})

    async def list_numbers(query: str) -> list[int]:
        trials = (await api.get(f"{study}/trials?{query}")).json()["trials"]
        return [trial["number"] for trial in trials]

    assert await list_numbers("state=COMPLETE") == [0]
    assert await list_numbers("state=FAIL&state=RUNNING") == [1, 2]
    assert await list_numbers("") == [0, 1, 2]


async def test_lists_only_some_fields(api: httpx.AsyncClient, study: str) -> None:
    await api.post(f"{study}/ask")
    (whole,) = (await api.get(f"{study}/trials")).json()["trials"]
    assert whole == (await api.get(f"{study}/trials/0")).json()

    for fields in (["values"], ["state", "params", "lease_expires_at"], ["number"], list(whole)):
        (some,) = (await api.get(f"{study}/trials", params={"fields": fields})).json()["trials"]
        assert some == {name: whole[name] for name in {"number", *fields}}


async def test_refuses_bad_queries(
    api: httpx.AsyncClient, study: str, subtests: pytest.Subtests
) -> None:
    for path, field in [
        ("/studies?limit=0", "limit"),
        ("/studies?limit=1001", "limit"),
        ("/studies?state=done", "state"),
        ("/studies?q=%00", "q"),
        ("/studies?cursor=nonsense", "cursor"),
        ("/studies?cursor=MTI", "cursor"),
        ("/studies?cursor=%C3%BC", "cursor"),
        ("/studies/digits/trials?cursor=ImEi", "cursor"),
        ("/studies/digits/trials?cursor=dHJ1ZQ", "cursor"),
        ("/studies/digits/trials?state=DONE", "state.0"),
        ("/studies/digits/trials?fields=number&fields=valeus", "fields.1"),
        ("/studies/digits/trials/x", "number"),
        ("/studies/digits/trials/-1", "number"),
        ("/studies/digits/trials/9999999999", "number"),
    ]:
        with subtests.test(path=path):
            problem = assert_problem(await api.get(path), 422, "invalid-request")
            assert get_fields(problem) == [field]


@pytest.mark.parametrize("path", ["/studies", "/studies/digits"])
async def test_answers_304_until_something_changes(
    api: httpx.AsyncClient, study: str, path: str
) -> None:
    first = await api.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"

    for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        same = await api.get(path, headers={"If-None-Match": header})
        assert (same.status_code, same.content) == (304, b""), header
        assert same.headers["etag"] == etag
    other = await api.get(path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200

    await api.post(f"{study}/ask")
    changed = await api.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_etags_differ_between_queries(api: httpx.AsyncClient, names: list[str]) -> None:
    paths = ("/studies", "/studies?limit=4", "/studies?q=a", "/studies/alpha")
    etags = {(await api.get(path)).headers["etag"] for path in paths}

    assert len(etags) == len(paths)


async def test_a_replaced_study_has_another_etag(api: httpx.AsyncClient, study: str) -> None:
    etag = (await api.get(study)).headers["etag"]
    await api.delete(study)
    await api.post("/studies", json={"name": "digits", "direction": "minimize"})

    assert (await api.get(study, headers={"If-None-Match": etag})).status_code == 200
