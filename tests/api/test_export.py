"""GET /studies/{study}/export and /pareto: whole studies, and the best of them."""

import csv
import io
from typing import Any

import httpx
import optuna
from optuna.study._dataframe import _create_records_and_aggregate_column, _flatten_columns
from optuna.trial import create_trial

from service.engine.adopt import Adoption, adopt_study
from service.engine.engine import Engine
from service.storage.database import Database
from tests.api.problems import assert_problem, get_fields
from tests.plain_optuna import open_rdb_storage

PARAMS = {"lr": 0.001, "layers": 2, "optimizer": "sgd"}
DATAFRAME_ATTRS = (
    "number",
    "value",
    "datetime_start",
    "datetime_complete",
    "duration",
    "params",
    "user_attrs",
    "state",
)


async def read_table(api: httpx.AsyncClient, study: str) -> list[dict[str, str]]:
    response = await api.get(f"{study}/export", params={"format": "csv"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


async def import_trials(api: httpx.AsyncClient, study: str, *trials: dict[str, Any]) -> None:
    response = await api.post(f"{study}/trials", json={"trials": trials})
    assert response.status_code == 201, response.text


async def test_json_has_all_that_the_api_shows(api: httpx.AsyncClient, study: str) -> None:
    await import_trials(api, study, *[{"state": "PRUNED", "params": PARAMS}] * 450)
    await api.post(f"{study}/ask")
    await api.post(f"{study}/trials/450/report", json={"step": 0, "value": "NaN"})

    response = await api.get(f"{study}/export")

    assert response.headers["content-type"] == "application/json"
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.json() == {
        "study": (await api.get(study)).json(),
        "trials": (await api.get(f"{study}/trials", params={"limit": 1000})).json()["trials"],
    }
    assert len(response.json()["trials"]) == 451


async def test_download_is_named_after_the_study(api: httpx.AsyncClient) -> None:
    await api.post("/studies", json={"name": 'ü "1";', "direction": "minimize"})

    response = await api.get("/studies/%C3%BC%20%221%22%3B/export", params={"format": "csv"})

    assert response.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%C3%BC%20%221%22%3B.csv"
    )


async def test_study_without_trials_is_exported(api: httpx.AsyncClient, study: str) -> None:
    table = await api.get(f"{study}/export", params={"format": "csv"})
    document = (await api.get(f"{study}/export", params={"format": "json"})).json()

    assert table.text == (
        "number,value,datetime_start,datetime_complete,duration,state,attempt,reason\r\n"
    )
    assert document["trials"] == []


async def test_columns_are_those_of_optuna(api: httpx.AsyncClient, database: Database) -> None:
    objectives = [{"name": name, "direction": "minimize"} for name in ("loss", "Seconds", "a b")]
    await api.post("/studies", json={"name": "s", "objectives": objectives})
    space = {name: {"type": "float", "low": 0, "high": 1} for name in ("z", "a.b", "ä", "Z")}
    await import_trials(
        api,
        "/studies/s",
        {
            "state": "FAIL",
            "params": {"z": 0.5},
            "distributions": {"z": space["z"]},
            "user_attrs": {"ü": 1},
        },
        {
            "state": "COMPLETE",
            "values": [1, 2, 3],
            "params": dict.fromkeys(space, 0.25),
            "distributions": space,
            "user_attrs": {"b": 1, "A": 2},
        },
    )
    with open_rdb_storage(database) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        attrs = tuple("values" if each == "value" else each for each in DATAFRAME_ATTRS)
        _, columns = _create_records_and_aggregate_column(study, attrs)

    table = await read_table(api, "/studies/s")

    assert list(table[0]) == [*_flatten_columns(columns), "attempt", "reason"]
    assert list(table[0])[1:4] == ["values_loss", "values_Seconds", "values_a b"]


async def test_cells_say_what_trials_hold(api: httpx.AsyncClient, study: str) -> None:
    await import_trials(
        api,
        study,
        {
            "state": "COMPLETE",
            "values": ["-Infinity"],
            "params": PARAMS,
            "user_attrs": {
                "list": [1, {"ü": None}],
                "yes": True,
                "none": None,
                "text": 'a "b",\nc',
                "huge": 2**70,
            },
            "constraints": {"size": -1.5, "cost": 2.0},
            "started_at": "2026-01-01T10:00:00Z",
            "finished_at": "2026-01-02T11:00:01.5+01:00",
        },
        {"state": "FAIL", "params": PARAMS, "reason": "out of memory"},
    )

    complete, failed = await read_table(api, study)

    assert complete == {
        "number": "0",
        "value": "-Infinity",
        "datetime_start": "2026-01-01T10:00:00Z",
        "datetime_complete": "2026-01-02T10:00:01.500000Z",
        "duration": "1 days 00:00:01.500000",
        "params_layers": "2",
        "params_lr": "0.001",
        "params_optimizer": "sgd",
        "user_attrs_huge": str(2**70),
        "user_attrs_list": '[1, {"ü": null}]',
        "user_attrs_none": "",
        "user_attrs_text": 'a "b",\nc',
        "user_attrs_yes": "True",
        "state": "COMPLETE",
        "attempt": complete["attempt"],
        "reason": "",
        "constraints_size": "-1.5",
        "constraints_cost": "2.0",
    }
    empty = ("value", "user_attrs_text", "constraints_size")
    assert {failed[column] for column in empty} == {""}
    assert failed["reason"] == "out of memory"


async def test_text_is_no_formula(api: httpx.AsyncClient, study: str) -> None:
    formulas = ["=1+1", "+1", "-1", "@x", "\tx", "\rx"]
    for number, text in enumerate([*formulas, "a=1", ""]):
        await api.post(f"{study}/ask")
        end = {"state": "FAIL", "reason": text, "user_attrs": {"text": text, "number": -1}}
        await api.post(f"{study}/trials/{number}/tell", json=end)

    table = await read_table(api, study)

    for column in ("reason", "user_attrs_text"):
        assert [row[column] for row in table] == [f"'{text}" for text in formulas] + ["a=1", ""]
    assert {row["user_attrs_number"] for row in table} == {"-1"}


async def test_constraints_of_plain_optuna_have_columns(
    api: httpx.AsyncClient, engine: Engine, database: Database
) -> None:
    with open_rdb_storage(database) as storage:
        study = optuna.create_study(storage=storage, study_name="s")
        for attrs in (
            {"constraints": [0.5, float("inf")]},
            {"constraints:size": -1.0},
            {"constraints": []},
        ):
            study.add_trial(create_trial(value=0.0, system_attrs=attrs))
    await adopt_study(engine, Adoption("s"))

    table = await read_table(api, "/studies/s")

    columns = ["constraints_0", "constraints_1", "constraints_size"]
    assert list(table[0])[-3:] == columns
    assert [[row[column] for column in columns] for row in table] == [
        ["0.5", "Infinity", ""],
        ["", "", "-1.0"],
        ["", "", ""],
    ]


async def test_refuses_other_formats_and_studies(api: httpx.AsyncClient, study: str) -> None:
    response = await api.get(f"{study}/export", params={"format": "xlsx"})
    assert get_fields(assert_problem(response, 422, "invalid-request")) == ["format"]
    for name in ("nobody", "%00", "n" * 600):
        assert_problem(await api.get(f"/studies/{name}/export"), 404, "study-not-found")
        assert_problem(await api.get(f"/studies/{name}/pareto"), 404, "study-not-found")


async def list_front(api: httpx.AsyncClient, study: str) -> list[int]:
    response = await api.get(f"{study}/pareto")
    assert response.status_code == 200, response.text
    return [trial["number"] for trial in response.json()["trials"]]


async def test_front_is_that_of_optuna(api: httpx.AsyncClient, database: Database) -> None:
    objectives = [
        {"name": "accuracy", "direction": "maximize"},
        {"name": "seconds", "direction": "minimize"},
    ]
    await api.post("/studies", json={"name": "s", "objectives": objectives})
    assert await list_front(api, "/studies/s") == []
    rows = [(0.5, 9), (0.9, 9), (0.9, 9), (0.4, 2), (0.4, 3), ("Infinity", 99), (0.9, 1)]
    satisfied = [{"size": -1}] * 6 + [{"size": 0.5}]
    await import_trials(
        api,
        "/studies/s",
        *(
            {"state": "COMPLETE", "params": {}, "values": row, "constraints": constraints}
            for row, constraints in zip(rows, satisfied, strict=True)
        ),
        {"state": "PRUNED", "params": {}},
    )
    await api.post("/studies/s/ask")

    front = await list_front(api, "/studies/s")

    with open_rdb_storage(database) as storage:
        best = optuna.load_study(study_name="s", storage=storage).best_trials
    assert front == [trial.number for trial in best] == [1, 2, 3, 5]
    shown = (await api.get("/studies/s/pareto")).json()["trials"]
    assert shown[0] == (await api.get("/studies/s/trials/1")).json()
    for fields in ({"number", "values"}, {"values", "params", "state"}):
        answer = await api.get("/studies/s/pareto", params={"fields": sorted(fields)})
        wanted = fields | {"number"}
        assert answer.json()["trials"] == [
            {name: trial[name] for name in trial if name in wanted} for trial in shown
        ]


async def test_front_that_has_not_changed_is_not_sent_again(
    api: httpx.AsyncClient, study: str
) -> None:
    whole, values = f"{study}/pareto", f"{study}/pareto?fields=values"
    etag = (await api.get(whole)).headers["etag"]

    assert (await api.get(whole, headers={"If-None-Match": etag})).status_code == 304
    assert (await api.get(values, headers={"If-None-Match": etag})).status_code == 200
    await import_trials(api, study, {"state": "COMPLETE", "params": PARAMS, "values": [1]})
    assert (await api.get(whole, headers={"If-None-Match": etag})).status_code == 200


async def test_front_of_one_objective_are_all_the_best(api: httpx.AsyncClient, study: str) -> None:
    values = [0.5, 0.75, 0.25, 0.75]
    await import_trials(
        api, study, *({"state": "COMPLETE", "params": PARAMS, "values": [v]} for v in values)
    )

    assert await list_front(api, study) == [1, 3]
