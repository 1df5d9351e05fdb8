"""Whether an attempt is to stop, and on whose account."""

import pytest

from service.domain.attempts import Ending, EndingKind
from service.schedulers.stop_orders import blame_worker


@pytest.mark.parametrize("kind", [EndingKind.EXITED, EndingKind.FAILED, EndingKind.NOT_STARTED])
def test_what_a_worker_stopped_is_its_doing(kind: EndingKind) -> None:
    ending = Ending(kind, message="The execution was terminated.", values={"loss": 0.5})

    assert blame_worker(ending) == Ending(
        EndingKind.PREEMPTED, message="The execution was terminated.", values={"loss": 0.5}
    )


@pytest.mark.parametrize(
    "kind", [EndingKind.TIMED_OUT, EndingKind.VANISHED, EndingKind.CANCELLED, EndingKind.PREEMPTED]
)
def test_what_ended_otherwise_is_not(kind: EndingKind) -> None:
    assert blame_worker(Ending(kind)) == Ending(kind)


def test_what_nothing_is_seen_of_was_stopped_by_it() -> None:
    assert blame_worker(None) == Ending(EndingKind.PREEMPTED)
