"""How the trials of a sweep are launched, as people say it."""

import httpx
import pytest

from tests.api.sweep_use import (
    FLYTE_LAUNCH,
    LAUNCH,
    WANDB_LAUNCH,
    WANDB_QUEUE_LAUNCH,
    claim,
    create_sweep,
    end,
)


@pytest.mark.parametrize(
    ("launch", "described"),
    [
        (
            WANDB_LAUNCH,
            {
                "executor": "wandb",
                "queue": "default",
                "program": "train.py",
                "command": None,
                "directory": "/srv/digits",
                "timeout_seconds": None,
                "stop_seconds": 15,
                "step_metric": None,
                "value": "last",
                "project": "numbers",
                "entity": None,
                "mode": "online",
                "group": None,
                "job_type": None,
                "tags": [],
                "sweep": True,
            },
        ),
        (
            WANDB_QUEUE_LAUNCH,
            {
                "executor": "wandb-launch",
                "queue": "default",
                "job": "ada/numbers/train:latest",
                "image": None,
                "launch_queue": "gpus",
                "launch_queue_project": None,
                "resource": None,
                "resource_args": {},
                "template_variables": {},
                "priority": None,
                "entry_point": None,
                "project": "numbers",
                "entity": None,
                "step_metric": None,
                "value": "last",
                "sweep": True,
                "timeout_seconds": None,
                "start_timeout_seconds": None,
            },
        ),
        (
            FLYTE_LAUNCH,
            {
                "executor": "flyte",
                "queue": "default",
                "task": "numbers/development/train@v1",
                "workflow": None,
                "launch_plan": None,
                "inputs": {},
                "input_names": {},
                "outputs": {},
                "timeout_seconds": None,
                "interruptible": None,
                "cluster_pool": None,
                "service_account": None,
                "iam_role": None,
                "overwrite_cache": False,
                "raw_output_prefix": None,
                "max_parallelism": None,
                "labels": {},
                "annotations": {},
                "environment": {},
            },
        ),
    ],
)
async def test_trials_can_be_launched_outside(
    api: httpx.AsyncClient, launch: dict[str, object], described: dict[str, object]
) -> None:
    created = await create_sweep(api, launch=launch)

    assert created["sweep"]["launch"] == described
    assert created["sweep"]["executor"] == described["executor"]
    no_mirror = {"external_ref": None, "url": None, "state": None, "problem": None}
    assert created["sweep"]["mirror"] == (no_mirror if described.get("sweep") else None)


@pytest.mark.parametrize("change", [{}, {"sweep": True}])
async def test_runs_offline_have_no_sweep_on_wandb(
    api: httpx.AsyncClient, change: dict[str, object]
) -> None:
    created = await create_sweep(api, launch=WANDB_LAUNCH | {"mode": "offline"} | change)

    assert created["sweep"]["launch"]["sweep"] is False
    assert created["sweep"]["mirror"] is None
    assert len(await claim(api, executors=["wandb"])) == 1


@pytest.mark.parametrize(
    ("launch", "advice"),
    [
        (LAUNCH, "print accuracy=… or report it."),
        (WANDB_LAUNCH | {"sweep": False}, "log it with wandb.log."),
        (WANDB_QUEUE_LAUNCH | {"sweep": False}, "log it with wandb.log."),
        ({"executor": "flyte", "task": "digits/staging/train@v1"}, "return it from the task."),
    ],
)
async def test_a_result_that_is_missing_is_asked_for_in_its_way(
    api: httpx.AsyncClient, launch: dict[str, object], advice: str
) -> None:
    created = await create_sweep(api, launch=launch)
    (attempt,) = await claim(api, executors=[created["sweep"]["executor"]])

    await end(api, attempt, values={})

    trial = (await api.get("/studies/digits/trials/0")).json()
    assert trial["reason"] == f"The program ended without a value of 'accuracy': {advice}"
