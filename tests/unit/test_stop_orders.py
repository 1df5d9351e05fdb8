"""Whether an attempt is to stop, and on whose account."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from asktell.workers import Instruction

from service.domain.attempts import Ending, EndingKind
from service.schedulers.pace import Pace
from service.schedulers.stop_orders import StopOrder, blame_worker
from service.schedulers.workdir import Workdir, open_workdir

PACE = Pace(moment_seconds=5.0)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workdir(tmp_path: Path) -> Iterator[Workdir]:
    with open_workdir(tmp_path) as workdir:
        yield workdir


@pytest.fixture
def order(workdir: Workdir, clock: Clock) -> StopOrder:
    return build_order(workdir, clock)


def build_order(workdir: Workdir, clock: Clock) -> StopOrder:
    return StopOrder("k3v9x2ab-0-1", workdir, PACE, clock=clock)


def tell(order: StopOrder, stop: str | None) -> None:
    order.obey(Instruction(stop, is_over=stop == "over", lease_expires_at=None))


def test_an_attempt_that_nobody_stops_goes_on(order: StopOrder) -> None:
    order.obey(None)
    tell(order, None)
    assert (order.is_given, order.is_due, order.reason) == (False, False, None)


@pytest.mark.parametrize("reason", ["cancelled", "pruned"])
def test_what_is_not_wanted_is_to_stop_now(order: StopOrder, reason: str) -> None:
    tell(order, reason)
    assert (order.is_given, order.is_due, order.reason) == (True, True, reason)
    assert not order.is_preemption


def test_what_is_over_has_a_moment(order: StopOrder, clock: Clock) -> None:
    tell(order, "over")
    assert (order.is_given, order.is_due) == (True, False)
    clock.now += 4.9
    assert not order.is_due
    clock.now += 0.1
    assert order.is_due


def test_what_is_over_and_said_again_is_due_when_it_first_was(
    order: StopOrder, clock: Clock
) -> None:
    tell(order, "over")
    clock.now += 3.0
    tell(order, "over")
    clock.now += 2.0
    assert order.is_due


def test_what_is_over_and_then_cancelled_is_to_stop_now(order: StopOrder) -> None:
    tell(order, "over")
    tell(order, "cancelled")
    assert (order.is_due, order.reason) == (True, "cancelled")


def test_what_is_cancelled_gets_no_moment_by_being_over(order: StopOrder, clock: Clock) -> None:
    tell(order, "cancelled")
    clock.now += 1.0
    tell(order, "over")
    assert (order.is_due, order.reason) == (True, "cancelled")


def test_what_is_said_no_more_stays(order: StopOrder) -> None:
    tell(order, "pruned")
    tell(order, None)
    assert (order.is_due, order.reason) == (True, "pruned")


def test_what_is_over_may_have_to_go_with_its_worker(order: StopOrder) -> None:
    tell(order, "over")
    order.preempt()
    assert order.is_due
    assert order.is_preemption


def test_a_worker_that_has_to_go_takes_nothing_on_itself_that_was_to_stop(
    order: StopOrder, clock: Clock
) -> None:
    tell(order, "cancelled")
    clock.now += 1.0
    order.preempt()
    assert order.reason == "cancelled"
    assert order.was_preempted


def test_a_preemption_outlives_the_worker(order: StopOrder, workdir: Workdir, clock: Clock) -> None:
    order.preempt()
    again = build_order(workdir, clock)
    assert again.is_due
    assert again.is_preemption


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
