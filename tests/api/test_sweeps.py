"""Sweeps over HTTP: making them, looking at them, and what people do to them."""

from importlib.util import find_spec

import httpx
import pytest

from tests.api.problems import assert_problem, get_fields
from tests.api.sweep_use import LAUNCH, claim, create_sweep, end, observe

NO_ATTEMPTS = dict.fromkeys(
    (
        "launching",
        "running",
        "stopping",
        "succeeded",
        "failed",
        "pruned",
        "cancelled",
        "preempted",
        "lost",
    ),
    0,
)
YAML = {"Content-Type": "application/yaml"}
WANDB_FILE = """# found on the web
method: random
metric:
  name: accuracy
  goal: maximize
parameters:
  lr:
    min: 1.0e-5
    max: 0.1
run_cap: 5
program: train.py
"""
CUSTOM_FILE = WANDB_FILE.replace("random", "custom")


async def test_a_sweep_is_a_study_that_is_launched(api: httpx.AsyncClient) -> None:
    created = await create_sweep(api, parallelism=2)

    sweep = created.pop("sweep")
    assert created.pop("notes") == []
    assert created == (await api.get("/studies/digits")).json()
    assert created["is_sweep"]
    assert created["lease_seconds"] == 120
    assert created["budget"]["max_failures"] == 10
    assert len(sweep.pop("id")) == 8
    assert sweep.pop("waiting_since").endswith("Z")
    assert sweep == {
        "state": "active",
        "queue": "default",
        "executor": "process",
        "launch": {
            "executor": "process",
            "queue": "default",
            "program": "train.py",
            "command": None,
            "directory": "/srv/digits",
            "timeout_seconds": None,
            "stop_seconds": 15,
            "step_metric": None,
        },
        "wanted": 2,
        "mirror": None,
        "attempts": NO_ATTEMPTS,
    }


@pytest.mark.parametrize(
    ("budget", "max_failures"),
    [
        ({"max_trials": 3}, 10),
        ({"max_failures": None}, None),
        ({"max_failures": 2}, 2),
        (None, None),
    ],
)
async def test_failures_in_a_row_end_a_sweep_unless_it_says_otherwise(
    api: httpx.AsyncClient, budget: dict[str, int] | None, max_failures: int | None
) -> None:
    created = await create_sweep(api, budget=budget)

    assert created["budget"]["max_failures"] == max_failures
    assert created["lease_seconds"] == 120


async def test_the_same_sweep_can_be_loaded(api: httpx.AsyncClient) -> None:
    first = await create_sweep(api)
    body = {
        "name": "digits",
        "objectives": first["objectives"],
        "space": first["space"],
        "sampler": {"type": "RandomSampler"},
        "launch": LAUNCH,
    }

    loaded = await api.post("/sweeps", json=body | {"if_exists": "load"})
    other = await api.post(
        "/sweeps", json=body | {"if_exists": "load", "launch": LAUNCH | {"program": "other.py"}}
    )

    assert loaded.status_code == 200
    assert loaded.json() == first
    assert_problem(other, 409, "study-exists")
    assert_problem(await api.post("/sweeps", json=body), 409, "study-exists")


async def test_a_repeat_by_its_key_is_the_same_sweep(api: httpx.AsyncClient) -> None:
    headers = YAML | {"Idempotency-Key": "k"}

    first = await api.post("/sweeps", content=WANDB_FILE, headers=headers)
    again = await api.post("/sweeps", content=WANDB_FILE, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len((await api.get("/sweeps")).json()["sweeps"]) == 1


async def test_a_sweep_file_is_taken_as_it_is(api: httpx.AsyncClient) -> None:
    for media_type in ("application/yaml", "text/yaml; charset=utf-8", "application/x-yaml"):
        response = await api.post(
            "/sweeps",
            content=WANDB_FILE,
            headers={"Content-Type": media_type},
            params={"name": media_type.replace("/", "-"), "directory": "/srv/found"},
        )
        assert response.status_code == 201, response.text

    created = response.json()
    assert created["name"] == "application-x-yaml"
    assert created["objectives"] == [{"name": "accuracy", "direction": "maximize"}]
    assert created["sampler"]["type"] == "RandomSampler"
    assert created["progress"]["max_trials"] == 5
    assert created["sweep"]["launch"]["directory"] == "/srv/found"
    assert isinstance(created["notes"], list)


async def test_a_file_without_a_name_gets_one(api: httpx.AsyncClient) -> None:
    names = set()
    for _ in range(2):
        response = await api.post("/sweeps", content=WANDB_FILE, headers=YAML)
        assert response.status_code == 201, response.text
        names.add(response.json()["name"])

    assert len(names) == 2
    assert all(name.startswith("sweep-") and len(name) == 14 for name in names)


async def test_the_method_bayes_is_what_the_server_can_run(api: httpx.AsyncClient) -> None:
    sampler = "TPESampler" if find_spec("torch") is None else "GPSampler"

    response = await api.post(
        "/sweeps", content=WANDB_FILE.replace("random", "bayes"), headers=YAML
    )

    assert response.status_code == 201, response.text
    assert response.json()["sampler"]["type"] == sampler
    (note,) = response.json()["notes"]
    assert note.startswith(f"line 2: The method bayes is Optuna's {sampler} here")


@pytest.mark.parametrize(
    ("file", "code", "key", "line"),
    [
        ("method: random\nparamters: {}\n", "invalid-sweep-file", "paramters", 2),
        (WANDB_FILE + "seed: -1\n", "invalid-request", "seed", 12),
        (WANDB_FILE + "queue: null\n", "invalid-request", "queue", 12),
        ("objectives: [{name: a}]\nlaunch: {program: a}", None, "objectives.0.direction", 1),
        (WANDB_FILE + "directory: here\n", "invalid-request", "directory", 12),
        (WANDB_FILE.replace("0.1", "1.0e-6"), None, "parameters.lr", 8),
        (CUSTOM_FILE + "sampler: {type: No_}\n", "invalid-sampler", "sampler.type", 12),
        (WANDB_FILE + "name: a/b\n", "invalid-name", None, None),
        (b"name: \xff\n", "invalid-sweep-file", None, None),
    ],
)
async def test_what_is_wrong_in_a_file_is_named_by_key_and_line(
    api: httpx.AsyncClient, file: str | bytes, code: str | None, key: str | None, line: int | None
) -> None:
    response = await api.post("/sweeps", content=file, headers=YAML)

    problem = assert_problem(response, 422, code or response.json()["code"])
    if key is not None:
        messages = {error["field"]: error["message"] for error in problem["errors"]}
        (field,) = (each for each in messages if each.startswith(key))
        assert messages[field].startswith(f"line {line}: ")
        assert ": line " in problem["detail"]


@pytest.mark.parametrize(
    ("launch", "field"),
    [
        ({"command": ["${interpeter}", "x.py"]}, "launch.command.0"),
        ({"command": ["pre${program}"], "program": "x.py"}, "launch.command.0"),
        ({"command": ["./run", "${envvar:lower}"]}, "launch.command.1"),
        ({"command": ["./run", "${envvar:ASKTELL_TOKEN}"]}, "launch.command.1"),
        ({"command": ["${env}", "${program}"]}, "launch"),
        ({"command": ["${env}", "${interpreter}"]}, "launch"),
        ({"command": [""]}, "launch"),
        ({}, "launch"),
    ],
)
async def test_what_can_never_be_launched_is_refused(
    api: httpx.AsyncClient, launch: dict[str, object], field: str
) -> None:
    body = {"name": "digits", "direction": "minimize", "launch": launch}

    problem = assert_problem(await api.post("/sweeps", json=body), 422, "invalid-request")

    assert list(get_fields(problem)) == [field]


async def test_what_a_file_leaves_open_is_asked_of_files_only(api: httpx.AsyncClient) -> None:
    response = await api.post("/sweeps?name=a&directory=/b", json={"name": "a"})

    problem = assert_problem(response, 422, "invalid-request")
    assert {"name", "directory"} <= set(get_fields(problem))


async def test_sweeps_are_listed_by_name_and_state(api: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c", "plain"):
        await create_sweep(api, name) if name != "plain" else await api.post(
            "/studies", json={"name": name, "direction": "minimize"}
        )
    await api.post("/sweeps/b/pause")
    await api.post("/sweeps/c/cancel")

    async def list_names(query: str = "") -> list[str]:
        response = await api.get(f"/sweeps{query}")
        assert response.status_code == 200, response.text
        return [sweep["name"] for sweep in response.json()["sweeps"]]

    assert await list_names() == ["a", "b", "c"]
    assert await list_names("?state=active") == ["a"]
    assert await list_names("?state=paused") == ["b"]
    assert await list_names("?state=cancelled") == ["c"]
    assert await list_names("?state=finished") == []
    assert await list_names("?q=B") == ["b"]
    page = (await api.get("/sweeps?limit=2")).json()
    assert await list_names(f"?limit=2&cursor={page['next_cursor']}") == ["c"]


async def test_a_list_shows_what_each_sweep_waits_for(api: httpx.AsyncClient) -> None:
    await create_sweep(api, "a", parallelism=3)
    await create_sweep(api, "b", launch=LAUNCH | {"queue": "gpu"})
    (running,) = await claim(api)
    await observe(api, running)

    a, b = (await api.get("/sweeps")).json()["sweeps"]

    assert "launch" not in a["sweep"]
    assert (a["sweep"]["wanted"], b["sweep"]["wanted"]) == (2, None)
    assert (a["sweep"]["queue"], b["sweep"]["queue"]) == ("default", "gpu")
    assert a["sweep"]["attempts"] == NO_ATTEMPTS | {"running": 1}
    assert b["sweep"]["attempts"] == NO_ATTEMPTS


async def test_polling_costs_nothing_until_something_changes(api: httpx.AsyncClient) -> None:
    await create_sweep(api)
    for path in ("/sweeps", "/sweeps/digits"):
        first = await api.get(path)
        known = {"If-None-Match": first.headers["etag"]}
        assert (await api.get(path, headers=known)).status_code == 304

        (attempt,) = await claim(api)
        changed = await api.get(path, headers=known)

        assert changed.status_code == 200
        assert changed.headers["etag"] != first.headers["etag"]
        await end(api, attempt)


async def test_a_paused_sweep_launches_nothing_until_resumed(api: httpx.AsyncClient) -> None:
    await create_sweep(api)

    paused = (await api.post("/sweeps/digits/pause")).json()
    assert (paused["sweep"]["state"], paused["sweep"]["wanted"]) == ("paused", 0)
    assert paused["sweep"]["waiting_since"] is None
    assert await claim(api) == []

    resumed = (await api.post("/sweeps/digits/resume")).json()
    assert (resumed["sweep"]["state"], resumed["sweep"]["wanted"]) == ("active", None)
    assert len(await claim(api)) == 1


async def test_a_stopped_sweep_lets_what_runs_finish(api: httpx.AsyncClient) -> None:
    await create_sweep(api)
    (attempt,) = await claim(api)

    stopped = (await api.post("/sweeps/digits/stop")).json()
    seen = (await observe(api, attempt)).json()
    await end(api, attempt)

    assert stopped["sweep"]["state"] == "stopping"
    assert seen["stop"] is None
    assert (await api.get("/sweeps/digits")).json()["sweep"]["state"] == "finished"


async def test_a_cancelled_sweep_has_what_runs_ended(api: httpx.AsyncClient) -> None:
    await create_sweep(api)
    (attempt,) = await claim(api)

    cancelled = (await api.post("/sweeps/digits/cancel")).json()
    again = (await api.post("/sweeps/digits/cancel")).json()
    seen = (await observe(api, attempt)).json()
    await end(api, attempt, exit_code=None, signal=15, values=None)

    assert cancelled["sweep"]["state"] == "stopping"
    assert again["sweep"]["state"] == "stopping"
    assert (seen["stop"], seen["is_over"]) == ("cancelled", False)
    shown = (await api.get("/sweeps/digits")).json()
    assert shown["sweep"]["state"] == "cancelled"
    assert shown["sweep"]["attempts"] == NO_ATTEMPTS | {"cancelled": 1}
    (resumed,) = [(await api.post("/sweeps/digits/resume")).json()]
    assert resumed["sweep"]["state"] == "active"


async def test_a_sweep_fails_after_too_many_failures(api: httpx.AsyncClient) -> None:
    await create_sweep(api, budget={"max_failures": 2})
    for _ in range(2):
        (attempt,) = await claim(api)
        await end(api, attempt, exit_code=1)

    shown = (await api.get("/sweeps/digits")).json()

    assert (shown["sweep"]["state"], shown["stop_reason"]) == ("failed", "max_failures")
    assert (await api.get("/sweeps?state=failed")).json()["sweeps"][0]["name"] == "digits"
    assert (await api.get("/sweeps?state=finished")).json()["sweeps"] == []
    assert await claim(api) == []


async def test_a_study_that_nobody_launches_is_no_sweep(api: httpx.AsyncClient, study: str) -> None:
    for name in ("digits", "nobody"):
        assert_problem(await api.get(f"/sweeps/{name}"), 404, "sweep-not-found")
        assert_problem(await api.get(f"/sweeps/{name}/attempts"), 404, "sweep-not-found")
        assert_problem(await api.post(f"/sweeps/{name}/pause"), 404, "sweep-not-found")
    assert (await api.get("/studies/digits")).json()["state"] == "active"


async def test_studies_routes_work_on_sweeps(api: httpx.AsyncClient) -> None:
    await create_sweep(api)

    patched = await api.patch("/studies/digits", json={"parallelism": 1})
    asked = await api.post("/studies/digits/ask")
    wanted = (await api.get("/sweeps/digits")).json()["sweep"]["wanted"]
    deleted = await api.delete("/studies/digits")

    assert patched.status_code == 200
    assert asked.status_code == 200
    assert wanted == 0
    assert deleted.status_code == 204
    assert_problem(await api.get("/sweeps/digits"), 404, "sweep-not-found")
