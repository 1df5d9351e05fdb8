"""Programs reach W&B by the way of their worker."""

from pathlib import Path

import pytest

from service.domain.attempts import EndingKind
from tests.wandb.run_bench import RunBench, build_params, follow
from tests.wandb_backend import Backend

pytestmark = pytest.mark.timeout(120)

HOST = "wandb.invalid"


async def test_a_run_goes_by_the_proxy_and_the_key_of_its_worker(
    backend: Backend, tmp_path: Path
) -> None:
    environment = backend.build_environment()
    netrc = tmp_path / "its-netrc"
    netrc.write_text(f"machine {HOST} login user password {environment.pop('WANDB_API_KEY')}\n")
    netrc.chmod(0o600)
    way = {"WANDB_BASE_URL": f"http://{HOST}", "NETRC": str(netrc), "HTTP_PROXY": backend.url}
    bench = RunBench(tmp_path / "worker", environment | way)
    async with bench.open() as executor:
        outcome = await follow(executor, bench.build_launch(build_params(1, "finish"), 1))
    assert (outcome.ending.kind, outcome.ending.exit_code) == (EndingKind.EXITED, 0), outcome
    assert outcome.seen.note is None
    run = backend.runs[outcome.reference]
    assert (run.state, len(run.history)) == ("finished", 3)
