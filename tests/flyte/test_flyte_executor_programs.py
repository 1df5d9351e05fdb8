"""Attempts that are executions of real tasks, run by flytekit's own entrypoint."""

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from service.domain.attempts import Ending, EndingKind
from service.schedulers.executors.base import SweepRefused
from tests.flyte.executor_bench import Bench, open_bench, see_end
from tests.flyte_admin import FlyteAdmin
from tests.flyte_admin.admin import DOMAIN, PROJECT
from tests.flyte_admin.programs import Zygote

pytestmark = pytest.mark.asyncio(loop_scope="module")

OBJECTIVES = "tests.flyte.objectives"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bench(
    flyte_zygote: Zygote, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    with FlyteAdmin(zygote=flyte_zygote) as admin:
        admin.register(OBJECTIVES)
        async with open_bench(admin, tmp_path_factory.mktemp("home")) as bench:
            yield bench
        assert admin.unknown == []


async def run(bench: Bench, program: str, params: dict[str, Any], **arguments: Any) -> Ending:
    """How an attempt ends that executes one of objectives.py."""
    executor = bench.open_executor()
    launch = bench.build_launch(params, task=f"{OBJECTIVES}.{program}", **arguments)
    await executor.launch(launch)
    return await see_end(executor, launch)


def succeed(**values: float) -> Ending:
    return Ending(EndingKind.EXITED, exit_code=0, values=values)


async def test_outputs_in_order_are_values(bench: Bench) -> None:
    ending = await run(bench, "measure", {"x": 1, "layers": 2.0}, metrics=("loss", "size"))

    assert ending == succeed(loss=0.5, size=2.0)


async def test_outputs_with_names_are_values(bench: Bench) -> None:
    by_name = await run(bench, "score", {"x": 0.5}, metrics=("size", "accuracy"))
    as_told = await run(bench, "score", {"x": 0.5}, outputs={"loss": "size"})

    assert by_name == succeed(size=3.0, accuracy=0.5)
    assert as_told == succeed(loss=3.0)


async def test_output_that_is_nan(bench: Bench) -> None:
    values = (await run(bench, "diverge", {"x": 1.0})).values

    assert values is not None
    assert math.isnan(values["loss"])


async def test_error_is_told_in_its_own_words(bench: Bench) -> None:
    assert await run(bench, "fail", {"x": 1.0}) == Ending(
        EndingKind.FAILED,
        message="It failed in Flyte (USER:RuntimeError): "
        "ValueError: no such rate: 1.0 Try a smaller one.",
        values={},
    )


async def test_error_after_all_retries(bench: Bench) -> None:
    assert await run(bench, "fail_again", {"x": 1.0}) == Ending(
        EndingKind.FAILED,
        message="It failed in Flyte (RetriesExhausted|USER:Recoverable): "
        "FlyteRecoverableException: USER:Recoverable: error=too busy for 1.0",
        values={},
    )


async def test_parameters_become_inputs_of_every_type(bench: Bench) -> None:
    given = {
        "rate": 1,
        "layers": 3.0,
        "sizes": [1, 2.0],
        "weights": {"a": 1, "b": 0.5},
        "optimizer": {"name": "adam", "betas": [0.9, 1]},
        "settings": {"name": "sgd", "lr": 1},
        "color": "red",
        "name": "deep",
        "is_wide": True,
        "momentum": 1,
        "momenta": [1, None, 0.5],
    }
    ending = await run(bench, "take_all", given, inputs={"seed": None}, outputs={"loss": "o1"})

    assert ending == succeed(loss=1.0)
    record = list(bench.admin.executions.values())[-1]
    assert record.outputs is not None
    assert record.outputs["o0"] == (
        "((1.0, 3, [1, 2], [('a', 1.0), ('b', 0.5)], 1.0, [1.0, None, 0.5], None), "
        "[('betas', [0.9, 1]), ('name', 'adam')], Optimizer(name='sgd', lr=1.0), "
        "<Color.RED: 'red'>, 'deep', True)"
    )


async def test_parameters_of_the_wrong_types_are_told_together(bench: Bench) -> None:
    given = {
        "rate": "fast",
        "sizes": [1, 2.5],
        "weights": {"a": "much"},
        "optimizer": [1],
        "color": "green",
        "momentum": "none",
        "momenta": 1,
    }
    with pytest.raises(SweepRefused) as refusal:
        await run(bench, "take_all", given, outputs={"loss": "o1"})

    assert str(refusal.value) == (
        f"The task {PROJECT}/{DOMAIN}/{OBJECTIVES}.take_all@v1 does not fit the sweep. "
        "Its input 'is_wide' of type bool is given by no parameter and not in `inputs`. "
        "Its input 'layers' of type int is given by no parameter and not in `inputs`. "
        "Its input 'name' of type str is given by no parameter and not in `inputs`. "
        "Its input 'seed' of type int | None is given by no parameter and not in `inputs`. "
        "Its input 'settings' of type Optimizer is given by no parameter and not in `inputs`. "
        "The input 'rate' is of type float; 'fast' is not. "
        "The input 'sizes' is of type list[int]; [1, 2.5] is not. "
        "The input 'weights' is of type dict[str, float]; {'a': 'much'} is not. "
        "The input 'optimizer' is of type dict; [1] is not. "
        "The input 'color' is of type 'red' | 'blue'; 'green' is not. "
        "The input 'momentum' is of type float | None; 'none' is not. "
        "The input 'momenta' is of type list[float | None]; 1 is not."
    )


@pytest.mark.parametrize("value", ["/etc/hostname", "file:///etc/hostname", "s3://bucket/data"])
async def test_files_are_where_others_find_them(bench: Bench, value: str) -> None:
    given = {"data": value, "several": [value], "named": {"a": value}, "perhaps": value}
    with pytest.raises(SweepRefused) as refusal:
        await run(bench, "read_files", given | {"anything": 1})

    local = (
        f"The input 'data' is of type FlyteFile; {value!r} is not. "
        f"The input 'several' is of type list[FlyteFile]; {[value]!r} is not. "
        f"The input 'named' is of type dict[str, FlyteFile]; { {'a': value}!r} is not. "
        f"The input 'perhaps' is of type FlyteFile | None; {value!r} is not. "
    )
    told = str(refusal.value)
    assert told.endswith("The input 'anything' is of type FlytePickle; 1 is not.")
    assert (local in told) == ("etc" in value)
    assert ("FlyteFile" in told) == ("etc" in value)


class TestLaunchPlans:
    metrics = ("loss", "size")

    async def test_workflow_has_its_defaults(self, bench: Bench) -> None:
        workflow = f"{PROJECT}/{DOMAIN}/{OBJECTIVES}.halve@v1"
        default = await run(bench, "", {"x": 1}, workflow=workflow, metrics=self.metrics)
        given = {"x": 1, "layers": 3}
        ours = await run(bench, "", given, workflow=workflow, metrics=self.metrics)

        assert default == succeed(loss=0.5, size=5.0)
        assert ours == succeed(loss=0.5, size=3.0)

    async def test_fixed_inputs_are_fixed(self, bench: Bench) -> None:
        plan = f"{PROJECT}/{DOMAIN}/seven_layers@v1"
        fixed = await run(bench, "", {"x": 1}, launch_plan=plan, metrics=self.metrics)
        with pytest.raises(SweepRefused, match=r"It has no input 'layers'; there is x\."):
            await run(bench, "", {"x": 1, "layers": 3}, launch_plan=plan, metrics=self.metrics)

        assert fixed == succeed(loss=0.5, size=7.0)
