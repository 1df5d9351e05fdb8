from datetime import UTC, datetime

import pytest

from service.schedulers.executors.connection.limits import Breaker, TokenBucket
from service.schedulers.executors.connection.reachability import Reachability
from service.schedulers.executors.connection.system import OutsideSystem
from tests.log_lines import open_log


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def build_breaker(clock: Clock, *, chance: float = 1.0) -> Breaker:
    return Breaker(clock=clock, chance=lambda: chance)


def build_reachability(clock: Clock) -> Reachability:
    system = OutsideSystem("W&B", "wandb.example", command=(), environment={})
    return Reachability(
        system, calls_per_second=2.0, clock=clock, now=clock.now, chance=lambda: 1.0
    )


def test_a_burst_passes_and_then_so_many_calls_per_second(clock: Clock) -> None:
    bucket = TokenBucket(per_second=2.0, burst=3, clock=clock)
    for _ in range(3):
        assert bucket.get_pause() == 0.0
        bucket.take()
    for _ in range(4):
        assert bucket.get_pause() == pytest.approx(0.5)
        clock.seconds += 0.5
        assert bucket.get_pause() == 0.0
        bucket.take()


def test_a_long_silence_allows_no_more_than_a_burst(clock: Clock) -> None:
    bucket = TokenBucket(per_second=2.0, burst=3, clock=clock)
    clock.seconds += 3600
    for _ in range(3):
        bucket.take()
    assert bucket.get_pause() == pytest.approx(0.5)


def test_pauses_double_up_to_a_minute(clock: Clock) -> None:
    breaker = build_breaker(clock)
    pauses = []
    for _ in range(7):
        breaker.note_failure()
        pauses.append(breaker.get_pause())
    assert pauses == pytest.approx([2, 4, 8, 16, 32, 60, 60])


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_pauses_have_full_jitter(clock: Clock, chance: float) -> None:
    breaker = build_breaker(clock, chance=chance)
    breaker.note_failure()
    breaker.note_failure()
    assert breaker.get_pause() == pytest.approx(4 * chance)


def test_a_pause_passes(clock: Clock) -> None:
    breaker = build_breaker(clock)
    breaker.note_failure()
    clock.seconds += 1.5
    assert breaker.get_pause() == pytest.approx(0.5)
    clock.seconds += 1.5
    assert breaker.get_pause() == 0.0


def test_it_opens_after_five_failures_in_a_row_and_closes_with_the_first_answer(
    clock: Clock,
) -> None:
    breaker = build_breaker(clock)
    for _ in range(4):
        breaker.note_failure()
    breaker.note_success(was_slow=False)
    for _ in range(4):
        breaker.note_failure()
        assert not breaker.is_open
    breaker.note_failure()
    assert breaker.is_open
    clock.seconds += 3600
    assert breaker.is_open
    breaker.note_success(was_slow=False)
    assert not breaker.is_open
    assert breaker.get_pause() == 0.0


def test_a_slow_answer_is_followed_by_a_pause_that_does_not_grow(clock: Clock) -> None:
    breaker = build_breaker(clock)
    for _ in range(6):
        breaker.note_success(was_slow=True)
        assert breaker.get_pause() == pytest.approx(2)
        assert not breaker.is_open


def test_it_is_answering_for_some_seconds_unless_something_fails(clock: Clock) -> None:
    wandb = build_reachability(clock)
    assert not wandb.is_answering
    wandb.note_answer(0.1)
    clock.seconds += 4
    assert wandb.is_answering
    clock.seconds += 2
    assert not wandb.is_answering
    wandb.note_answer(0.1)
    wandb.note_failure("It hung up.")
    assert not wandb.is_answering


def test_a_call_that_is_under_way_says_nothing_before_its_deadline(clock: Clock) -> None:
    wandb = build_reachability(clock)
    wandb.note_call()
    assert not wandb.is_answering
    wandb.note_answer(0.1)
    clock.seconds += 10
    wandb.note_call()
    clock.seconds += 20
    assert wandb.is_answering
    wandb.note_failure("It hung up.")
    assert not wandb.is_answering


def test_people_read_since_when_it_is_silent_when_it_is_tried_again_and_why(clock: Clock) -> None:
    wandb = build_reachability(clock)
    for _ in range(5):
        wandb.note_failure("It hung up.")
        clock.seconds += 1
    assert wandb.describe() == (
        "W&B at wandb.example has not answered since 1970-01-01 00:16:40 UTC; next try in 31 s. "
        "It hung up."
    )


def test_people_read_that_it_is_asked_too_often(clock: Clock) -> None:
    wandb = build_reachability(clock)
    for _ in range(15):
        wandb.note_call()
    assert wandb.describe() == "W&B at wandb.example is asked too often; next try in 3 s."


def test_what_changes_is_logged_once(clock: Clock) -> None:
    wandb = build_reachability(clock)
    with open_log() as log:
        for _ in range(8):
            wandb.note_failure("It hung up.")
        wandb.note_answer(0.1)
        wandb.note_answer(0.1)
        lines = [(line["event"], line["host"], line.get("reason")) for line in log.read_lines()]
    assert lines == [
        ("system.away", "wandb.example", "It hung up."),
        ("system.back", "wandb.example", None),
    ]
