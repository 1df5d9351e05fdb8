"""Who follows whom when a sweep and its mirror differ."""

import pytest

from service.domain.mirrors import (
    Mirror,
    MirrorState,
    Settlement,
    Wish,
    describe_problem,
    get_mirror_state,
    settle,
)
from service.domain.sweeps import SweepState

RUNNING, PAUSED, FINISHED, CANCELLED = MirrorState


@pytest.mark.parametrize("ours", SweepState)
@pytest.mark.parametrize("agreed", [None, *MirrorState])
def test_the_same_is_agreed_upon(ours: SweepState, agreed: MirrorState | None) -> None:
    same = get_mirror_state(ours)
    assert settle(ours, agreed=agreed, seen=same) == Settlement(same)
    assert settle(ours, agreed=agreed, seen=None) == Settlement(agreed)


@pytest.mark.parametrize("ours", SweepState)
@pytest.mark.parametrize("seen", MirrorState)
def test_a_new_mirror_follows(ours: SweepState, seen: MirrorState) -> None:
    wanted = get_mirror_state(ours)
    are_over = ours.is_over and seen in (FINISHED, CANCELLED)
    is_stopped = ours is SweepState.STOPPING and seen is FINISHED
    is_same = seen is wanted or are_over or is_stopped
    expected = Settlement(seen) if is_same else Settlement(None, set_state=wanted)
    assert settle(ours, agreed=None, seen=seen) == expected


@pytest.mark.parametrize(
    ("ours", "seen", "wish"),
    [
        (SweepState.ACTIVE, PAUSED, Wish.PAUSE),
        (SweepState.PAUSED, RUNNING, Wish.RESUME),
        (SweepState.ACTIVE, FINISHED, Wish.STOP),
        (SweepState.PAUSED, CANCELLED, Wish.CANCEL),
        (SweepState.STOPPING, CANCELLED, Wish.CANCEL),
        (SweepState.FINISHED, RUNNING, Wish.RESUME),
    ],
)
def test_what_changed_outside_is_followed(ours: SweepState, seen: MirrorState, wish: Wish) -> None:
    agreed = get_mirror_state(ours)
    assert settle(ours, agreed=agreed, seen=seen) == Settlement(seen, wish=wish)


@pytest.mark.parametrize(
    ("ours", "agreed"),
    [
        (SweepState.PAUSED, RUNNING),
        (SweepState.ACTIVE, PAUSED),
        (SweepState.FAILED, RUNNING),
        (SweepState.CANCELLED, PAUSED),
    ],
)
def test_what_changed_here_is_set_outside(ours: SweepState, agreed: MirrorState) -> None:
    expected = Settlement(agreed, set_state=get_mirror_state(ours))
    assert settle(ours, agreed=agreed, seen=agreed) == expected


@pytest.mark.parametrize(
    ("ours", "agreed", "seen", "expected"),
    [
        # An end outside is an end here too; otherwise ours holds.
        (SweepState.PAUSED, RUNNING, CANCELLED, Settlement(CANCELLED, wish=Wish.CANCEL)),
        (SweepState.ACTIVE, PAUSED, FINISHED, Settlement(FINISHED, wish=Wish.STOP)),
        (SweepState.FINISHED, RUNNING, PAUSED, Settlement(RUNNING, set_state=FINISHED)),
        # The last runs go on in both.
        (SweepState.STOPPING, RUNNING, FINISHED, Settlement(FINISHED)),
        (SweepState.STOPPING, PAUSED, FINISHED, Settlement(FINISHED)),
        # What is over is not made over in another way.
        (SweepState.CANCELLED, RUNNING, FINISHED, Settlement(FINISHED)),
        (SweepState.FINISHED, RUNNING, CANCELLED, Settlement(CANCELLED)),
    ],
)
def test_when_both_have_changed(
    ours: SweepState, agreed: MirrorState, seen: MirrorState, expected: Settlement
) -> None:
    assert settle(ours, agreed=agreed, seen=seen) == expected


@pytest.mark.parametrize("ours", SweepState)
@pytest.mark.parametrize("external_ref", [None, "acme/digits/k1"])
@pytest.mark.parametrize("problem", [None, "W&B does not answer."])
def test_an_ended_sweep_says_that_it_had_no_mirror(
    ours: SweepState, external_ref: str | None, problem: str | None
) -> None:
    described = describe_problem(Mirror(external_ref, None, None, problem), ours)

    if external_ref is not None or not ours.is_over:
        assert described == problem
    else:
        assert described is not None
        assert described.startswith("There was no sweep in the outside system")
        assert described.endswith(problem or "when this one ended.")
