"""The OpenAPI document is valid, complete, and true."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.api.sweep_use import LAUNCH, REPORT, WANDB_LAUNCH, WORKER

Document = dict[str, Any]

SWEEP = {"name": "digits", "direction": "minimize", "launch": LAUNCH}

TELLS = {"tells": [{"number": 1, "state": "FAIL", "constraints": {"memory": 1.5}}]}
QUEUED = {"params": {"layers": 2}}
IMPORTS = {"trials": [{"state": "FAIL", "params": {"lr": 0.1, "layers": 1, "optimizer": "sgd"}}]}


@pytest.fixture
async def document(api: httpx.AsyncClient) -> Document:
    response = await api.get("/openapi.json")
    assert response.status_code == 200
    return response.json()


def list_operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def check(document: Document, schema: Document, instance: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(instance)


def test_is_valid(document: Document) -> None:
    validate(document)


def test_has_every_operation(document: Document) -> None:
    assert {operation["operationId"] for _, _, operation in list_operations(document)} == {
        "create_study",
        "list_studies",
        "show_study",
        "show_python",
        "change_study",
        "pause_study",
        "resume_study",
        "stop_study",
        "adopt",
        "release",
        "export_study",
        "delete_study",
        "ask",
        "suggest",
        "report",
        "prune",
        "heartbeat",
        "tell",
        "tell_trials",
        "enqueue_trials",
        "import_trials",
        "list_trials",
        "show_trial",
        "show_best_trial",
        "show_pareto_front",
        "show_history",
        "show_curves",
        "show_distributions",
        "show_importances",
        "show_plot",
        "check_life",
        "check_readiness",
        "show_metrics",
        "open_login_link",
        "follow_link",
        "show_session",
        "end_session",
        "create_sweep",
        "list_sweeps",
        "show_sweep",
        "pause_sweep",
        "resume_sweep",
        "stop_sweep",
        "cancel_sweep",
        "list_attempts",
        "show_attempt",
        "show_attempt_log",
        "claim_attempts",
        "observe_attempt",
        "add_attempt_log",
        "claim_mirrors",
        "tell_mirror",
        "list_workers",
        "put_worker",
        "remove_worker",
        "create_token",
        "list_tokens",
        "revoke_token",
    }


def test_examples_fit_their_schemas(document: Document) -> None:
    checked = 0
    for schema in document["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            check(document, schema, example)
            checked += 1
    for _, _, operation in list_operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for example in content["schema"].get("examples", ()):
                check(document, content["schema"], example)
                checked += 1
    assert checked >= 25


def test_bodies_have_examples(document: Document) -> None:
    for path, method, operation in list_operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schema = content["schema"]
            name = schema.get("$ref", "").rpartition("/")[2] or [
                part["$ref"].rpartition("/")[2] for part in schema.get("allOf", ())
            ]
            described = document["components"]["schemas"].get(name, schema) if name else schema
            assert described.get("examples"), (path, method)


def test_links_lead_from_ask_to_report_to_tell(document: Document) -> None:
    operations = {op["operationId"]: op for _, _, op in list_operations(document)}

    def find_links(name: str) -> set[str]:
        links: Document = operations[name]["responses"]["200"].get("links", {})
        assert all(link["operationId"] in operations for link in links.values())
        return set(links)

    assert {"report", "heartbeat", "tell"} <= find_links("ask")
    assert "tell" in find_links("report")
    assert "ask" in operations["create_study"]["responses"]["201"]["links"]


def test_only_health_and_login_are_public(document: Document) -> None:
    public = {path for path, _, operation in list_operations(document) if "security" in operation}

    assert document["security"]
    assert public == {"/healthz", "/readyz", "/login/{code}"}


async def test_answers_fit_their_schemas(
    api: httpx.AsyncClient, document: Document, study: str
) -> None:
    trial = f"{study}/trials/0"
    answers = [
        ("post", "/studies/{study}/ask", await api.post(f"{study}/ask", json={"count": 2})),
        (
            "post",
            "/studies/{study}/trials/{number}/report",
            await api.post(f"{trial}/report", json={"step": 0, "value": "NaN"}),
        ),
        ("post", "/studies/{study}/trials/{number}/prune", await api.post(f"{trial}/prune")),
        (
            "post",
            "/studies/{study}/trials/{number}/heartbeat",
            await api.post(f"{trial}/heartbeat"),
        ),
        (
            "post",
            "/studies/{study}/trials/{number}/tell",
            await api.post(f"{trial}/tell", json={"state": "COMPLETE", "values": "Infinity"}),
        ),
        ("post", "/studies/{study}/tell", await api.post(f"{study}/tell", json=TELLS)),
        ("post", "/studies/{study}/enqueue", await api.post(f"{study}/enqueue", json=QUEUED)),
        ("post", "/studies/{study}/trials", await api.post(f"{study}/trials", json=IMPORTS)),
        ("patch", "/studies/{study}", await api.patch(study, json={"parallelism": 4})),
        ("post", "/studies/{study}/pause", await api.post(f"{study}/pause")),
        ("post", "/studies/{study}/resume", await api.post(f"{study}/resume")),
        ("get", "/studies", await api.get("/studies")),
        ("get", "/studies/{study}", await api.get(study)),
        ("get", "/studies/{study}/trials", await api.get(f"{study}/trials")),
        ("get", "/studies/{study}/trials", await api.get(f"{study}/trials?fields=state")),
        ("get", "/studies/{study}/trials", await api.get(f"{study}/trials?fields=last_step")),
        ("get", "/studies/{study}/history", await api.get(f"{study}/history")),
        ("get", "/studies/{study}/curves", await api.get(f"{study}/curves")),
        ("get", "/studies/{study}/pareto", await api.get(f"{study}/pareto")),
        ("get", "/studies/{study}/pareto", await api.get(f"{study}/pareto?fields=values")),
        ("get", "/studies/{study}/export", await api.get(f"{study}/export")),
        ("post", "/studies/{study}/stop", await api.post(f"{study}/stop")),
        ("get", "/studies/{study}/trials/{number}", await api.get(trial)),
        ("get", "/studies/{study}/trials/{number}", await api.get(f"{trial}?fields=params")),
        ("get", "/studies/{study}/best", await api.get(f"{study}/best")),
        ("get", "/healthz", await api.get("/healthz")),
        ("post", "/login-links", await api.post("/login-links")),
        ("get", "/session", await api.get("/session")),
        (
            "post",
            "/tokens",
            await api.post("/tokens", json={"name": "ada", "scope": "user"}),
        ),
        ("get", "/tokens", await api.get("/tokens")),
    ]
    for method, path, answer in answers:
        check_answer(document, method, path, answer)
    for answer in (
        await api.get("/studies/nobody"),
        await api.post("/studies", json={}),
        await api.post(f"{study}/ask"),
    ):
        schema = document["components"]["schemas"]["ProblemAnswer"]
        check(document, schema, answer.json())


async def test_answers_about_sweeps_fit_their_schemas(
    api: httpx.AsyncClient, document: Document
) -> None:
    created = await api.post("/sweeps", json=SWEEP)
    claimed = await api.post("/attempts/claim", json=WORKER | {"count": 1})
    attempt = claimed.json()["attempts"][0]["id"]
    assert (await api.put("/workers/w1", json=REPORT)).status_code == 204
    seen = {"claim": 1, "state": "running"}
    mirrored = await api.post("/sweeps", json=SWEEP | {"name": "m", "launch": WANDB_LAUNCH})
    wanted = await api.post("/mirrors/claim", json={"worker_id": "w1", "executors": ["wandb"]})
    told = {"worker_id": "w1", "external_ref": "ada/numbers/k1", "seen": "paused"}
    kept = await api.post("/sweeps/m/mirror", json=told)
    one = "/sweeps/{study}"
    for method, path, answer in [
        ("post", "/sweeps", created),
        ("post", "/sweeps", mirrored),
        ("post", "/mirrors/claim", wanted),
        ("post", f"{one}/mirror", kept),
        ("post", "/attempts/claim", claimed),
        (
            "post",
            "/attempts/{attempt_id}/observe",
            await api.post(f"/attempts/{attempt}/observe", json=seen),
        ),
        ("get", "/sweeps", await api.get("/sweeps")),
        ("get", one, await api.get("/sweeps/digits")),
        ("post", f"{one}/pause", await api.post("/sweeps/digits/pause")),
        ("post", f"{one}/resume", await api.post("/sweeps/digits/resume")),
        ("post", f"{one}/stop", await api.post("/sweeps/digits/stop")),
        ("post", f"{one}/cancel", await api.post("/sweeps/digits/cancel")),
        (
            "get",
            "/studies/{study}/trials",
            await api.get("/studies/digits/trials?fields=latest_attempt"),
        ),
        ("get", f"{one}/attempts", await api.get("/sweeps/digits/attempts")),
        (
            "get",
            f"{one}/attempts/{{attempt_id}}",
            await api.get(f"/sweeps/digits/attempts/{attempt}"),
        ),
        ("get", "/workers", await api.get("/workers")),
    ]:
        check_answer(document, method, path, answer)


def check_answer(document: Document, method: str, path: str, answer: httpx.Response) -> None:
    described = document["paths"][path][method]["responses"][str(answer.status_code)]
    check(document, described["content"]["application/json"]["schema"], answer.json())


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/studies/{study}/trials", "ListedTrialAnswer"),
        ("/studies/{study}/trials/{number}", "TrialPartAnswer"),
        ("/studies/{study}/pareto", "TrialPartAnswer"),
    ],
)
async def test_trials_can_be_shown_by_each_of_their_fields(
    document: Document, path: str, schema: str
) -> None:
    parameters = document["paths"][path]["get"]["parameters"]
    (fields,) = (each for each in parameters if each["name"] == "fields")

    shown = document["components"]["schemas"][schema]["properties"]
    assert fields["schema"]["items"]["enum"] == list(shown)


async def test_refusals_that_pass_say_when_to_come_again(document: Document) -> None:
    for path, method, operation in list_operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            assert "Retry-After" in operation["responses"][status]["headers"], (path, method)
    assert "429" in document["paths"]["/studies/{study}/ask"]["post"]["responses"]


async def test_docs_show_every_operation_without_other_hosts(
    api: httpx.AsyncClient, document: Document
) -> None:
    answer = await api.get("/docs")
    page = answer.text

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path, method, operation in list_operations(document):
        assert f'id="{operation["operationId"]}"' in page
        assert f"{method.upper()} {path}" in page
    assert "://" not in page
