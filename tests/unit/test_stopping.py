"""Which signal is due when."""

from signal import SIGINT, SIGKILL, SIGTERM

from service.schedulers.executors.process.stopping import AT_ONCE, Ladder, build_graceful_steps


def test_graceful_stop_becomes_harder():
    ladder = Ladder(build_graceful_steps(15.0, 5.0), 100.0)
    taken = []
    while (moment := ladder.next_at) is not None:
        assert ladder.take_due(moment - 0.1) is None
        taken.append((moment, ladder.take_due(moment)))

    assert taken == [(100.0, SIGINT), (115.0, SIGTERM), (120.0, SIGKILL)]
    assert ladder.take_due(1000.0) is None


def test_late_look_takes_the_hardest_signal_that_is_due():
    ladder = Ladder(build_graceful_steps(15.0, 5.0), 100.0)

    assert ladder.take_due(117.0) is SIGTERM
    assert ladder.next_at == 120.0


def test_no_time_to_end_by_itself():
    assert Ladder(build_graceful_steps(0.0, 0.0), 0.0).take_due(0.0) is SIGKILL
    assert Ladder(AT_ONCE, 5.0).take_due(5.0) is SIGKILL
