"""How attempts are launched as executions, and what keeps them from being so."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from service.schedulers.executors.base import ErrorKind, LaunchRefused, SweepRefused
from service.schedulers.executors.connection.connection import SystemRefused
from tests.flyte.executor_bench import TOKEN, Bench
from tests.flyte.executor_bench import bench as bench
from tests.flyte.remotes import open_remote
from tests.flyte_admin.admin import DOMAIN, PROJECT

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def _clear(bench: Bench) -> Iterator[None]:
    yield
    bench.clear()


class TestWhatArrives:
    async def test_execution_is_known_by_its_attempt(self, bench: Bench) -> None:
        launch = replace(bench.build_launch(), attempt_id="k3v9x2ab-12-1", trial=12)

        reference = await bench.open_executor().launch(launch)

        record = bench.admin.executions["asktell-k3v9x2ab-12-1"]
        assert reference == f"{PROJECT}/{DOMAIN}/asktell-k3v9x2ab-12-1"
        assert record.labels == {
            "asktell-sweep": "k3v9x2ab",
            "asktell-trial": "12",
            "asktell-attempt": "k3v9x2ab-12-1",
        }
        assert dict(record.spec.annotations.values) == {"asktell-study": "digits"}
        assert record.envs == {"ASKTELL_TOKEN": TOKEN}
        assert record.inputs == {"x": 0.5}

    async def test_nothing_is_set_that_nobody_asked_for(self, bench: Bench) -> None:
        launch = bench.build_launch()
        await bench.open_executor().launch(launch)

        spec = bench.find(launch).spec
        asked = {field.name for field, value in spec.ListFields() if value.ByteSize()}
        assert asked == {"launch_plan", "labels", "annotations", "envs"}

    async def test_options_arrive_as_asked(self, bench: Bench) -> None:
        launch = bench.build_launch(
            interruptible=False,
            cluster_pool="gpus",
            service_account="trainer",
            iam_role="arn:aws:iam::1:role/trainer",
            overwrite_cache=True,
            raw_output_prefix="s3://bucket/path",
            max_parallelism=3,
        )
        await bench.open_executor().launch(launch)

        spec = bench.find(launch).spec
        assert spec.HasField("interruptible")
        assert not spec.interruptible.value
        assert spec.cluster_assignment.cluster_pool_name == "gpus"
        assert spec.security_context.run_as.k8s_service_account == "trainer"
        assert spec.security_context.run_as.iam_role == "arn:aws:iam::1:role/trainer"
        assert spec.overwrite_cache
        assert spec.raw_output_data_config.output_location_prefix == "s3://bucket/path"
        assert spec.max_parallelism == 3

    async def test_labels_of_a_sweep_do_not_hide_the_attempts(self, bench: Bench) -> None:
        launch = bench.build_launch(
            labels={"team": "vision", "asktell-attempt": "other"},
            annotations={"why": "to see", "asktell-study": "other"},
            environment={"MODE": "fast", "ASKTELL_TOKEN": "other"},
        )
        await bench.open_executor().launch(launch)

        record = bench.find(launch)
        assert record.labels["team"] == "vision"
        assert record.labels["asktell-attempt"] == launch.attempt_id
        assert dict(record.spec.annotations.values) == {"why": "to see", "asktell-study": "digits"}
        assert record.envs == {"MODE": "fast", "ASKTELL_TOKEN": TOKEN}

    async def test_parameters_go_where_the_sweep_says(self, bench: Bench) -> None:
        bench.admin.plant_task(
            "named",
            inputs={"learning_rate": float, "layers": int, "data": str},
            outputs={"o0": float},
        )
        launch = bench.build_launch(
            {"lr": 1, "layers": 3.0},
            task="named",
            input_names={"lr": "learning_rate"},
            inputs={"data": "mnist", "layers": 7},
        )
        await bench.open_executor().launch(launch)

        assert bench.find(launch).inputs == {"learning_rate": 1.0, "layers": 3, "data": "mnist"}

    async def test_page_is_where_flytekit_says(self, bench: Bench) -> None:
        executor, launch = bench.open_executor(), bench.build_launch()
        assert executor.url(f"{PROJECT}/{DOMAIN}/asktell-{launch.attempt_id}") is None
        reference = await executor.launch(launch)

        remote = open_remote(bench.admin)
        execution = remote.fetch_execution(name=f"asktell-{launch.attempt_id}")
        assert executor.url(reference) == remote.generate_console_url(execution)


@pytest.fixture(scope="module", autouse=True)
def _fussy_task(bench: Bench) -> None:
    bench.admin.plant_task(
        "fussy",
        inputs={"rate": float, "layers": int, "name": str, "is_wide": bool},
        outputs={"o0": str, "accuracy": float},
    )


async def test_task_that_has_gone_meanwhile_ends_the_sweep(bench: Bench) -> None:
    executor = bench.open_executor()
    bench.admin.plant_task("gone", inputs={"x": float}, outputs={"o0": float})
    first, launch = (bench.build_launch(task="gone") for _ in range(2))
    await executor.launch(first)
    # Flyte would keep what it has compiled; the stand-in looks once the execution has begun.
    (execution,) = bench.list_executions(first)
    while not execution.nodes:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)
    bench.admin.forget_task("gone")

    with pytest.raises(SystemRefused):
        await executor.launch(launch)
    with pytest.raises(SweepRefused, match=r"Flyte has no task .*/gone@v1"):
        await executor.launch(launch)


class TestWhatDoesNotFit:
    async def test_sweep_that_does_not_fit_hears_of_all_of_it(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = bench.build_launch(
            {"rate": "fast", "layers": 2.5, "nmae": "x"},
            task="fussy",
            metrics=("loss", "accuracy", "size"),
            outputs={"size": "sizes"},
        )

        with pytest.raises(SweepRefused) as refusal:
            await executor.launch(launch)

        assert executor.classify(refusal.value) is ErrorKind.PERMANENT
        assert str(refusal.value) == (
            f"The task {PROJECT}/{DOMAIN}/fussy@v1 does not fit the sweep. "
            "It has no input 'nmae'. Did you mean \"name\"? "
            "Its input 'is_wide' of type bool is given by no parameter and not in `inputs`. "
            "Its input 'name' of type str is given by no parameter and not in `inputs`. "
            "The input 'rate' is of type float; 'fast' is not. "
            "The input 'layers' is of type int; 2.5 is not. "
            "Its output 'o0' is of type str; a trial's value is a float or an int. "
            "It has no output 'sizes'; there is accuracy, o0. "
            "Say in `outputs` which one is 'size'."
        )
        assert bench.list_executions(launch) == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [("rate", True), ("layers", True), ("layers", 2**70), ("name", 1), ("is_wide", 1)],
    )
    async def test_value_of_a_later_trial_that_does_not_fit(
        self, bench: Bench, name: str, value: object
    ) -> None:
        executor = bench.open_executor()
        params = {"rate": 1, "layers": 2, "name": "x", "is_wide": True}
        arguments: dict[str, Any] = {"task": "fussy", "metrics": ("accuracy",)}
        await executor.launch(bench.build_launch(params, **arguments))
        launch = bench.build_launch(params | {name: value}, **arguments)

        with pytest.raises(LaunchRefused, match=f"The input '{name}' is of type") as refusal:
            await executor.launch(launch)

        assert executor.classify(refusal.value) is ErrorKind.PERMANENT
        assert not isinstance(refusal.value, SweepRefused)
        assert bench.list_executions(launch) == []

    async def test_what_flyte_does_not_take_is_refused_in_its_words(self, bench: Bench) -> None:
        executor = bench.open_executor()
        launch = bench.build_launch(labels={"team": "a b"})

        with pytest.raises(LaunchRefused) as refusal:
            await executor.launch(launch)

        assert str(refusal.value) == "Flyte refuses it: invalid label value [a b]"
        assert executor.classify(refusal.value) is ErrorKind.PERMANENT

    @pytest.mark.parametrize(
        ("kind", "words"),
        [("task", "task"), ("workflow", "workflow"), ("launch_plan", "launch plan")],
    )
    async def test_what_is_not_registered_ends_the_sweep(
        self, bench: Bench, kind: str, words: str
    ) -> None:
        executor = bench.open_executor()
        entity = f"{PROJECT}/{DOMAIN}/later.{kind}@v1"
        launch = replace(bench.build_launch(), arguments={kind: entity})

        for _ in range(2):
            with pytest.raises(SweepRefused) as refusal:
                await executor.launch(launch)
            assert str(refusal.value) == (
                f"Flyte has no {words} {entity}. Register it, or correct its name."
            )
        if kind == "task":
            bench.admin.plant_task("later.task", inputs={"x": float}, outputs={"o0": float})
            await executor.launch(launch)
            assert len(bench.list_executions(launch)) == 1
