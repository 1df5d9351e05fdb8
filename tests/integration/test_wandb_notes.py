"""What the note of an attempt says of the run that its program has left."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.wandb_bench import WandbBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WandbBench]:
    bench = WandbBench(tmp_path)
    yield bench
    bench.close()


async def find_note_of_killed(bench: WandbBench) -> str | None:
    await bench.kill()
    return (await bench.see(lambda seen: seen.ending is not None)).note


@pytest.mark.parametrize("mode", ["online", "offline"])
async def test_an_empty_log_is_nothing_to_upload(bench: WandbBench, mode: str) -> None:
    await bench.start(mode=mode)

    note = await find_note_of_killed(bench)

    assert note is not None
    assert note.endswith("nothing when its program ended, so there is nothing to upload.")
    assert "wandb sync" not in note


async def test_a_log_that_has_something_is_uploaded_by_a_command(bench: WandbBench) -> None:
    await bench.start()
    bench.log.log({"loss": 0.5}, step=0)

    note = await find_note_of_killed(bench)

    assert note is not None
    assert note.startswith("It ended before W&B had all of it. What is missing there: wandb sync")
