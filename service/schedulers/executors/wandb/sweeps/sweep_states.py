"""W&B's words for the state of a sweep."""

from typing import Final

from service.domain.mirrors import MirrorState

WORDS: Final = {
    MirrorState.RUNNING: "RUNNING",
    MirrorState.PAUSED: "PAUSED",
    MirrorState.FINISHED: "FINISHED",
    MirrorState.CANCELLED: "CANCELED",
}
"""What W&B is told."""

# What else W&B has, or had, for the same. Any other word is none of a person's doings.
_STATES: Final = {
    **{word: state for state, word in WORDS.items()},
    "CANCELLED": MirrorState.CANCELLED,
    "STOPPED": MirrorState.FINISHED,
    "FAILED": MirrorState.FINISHED,
    "CRASHED": MirrorState.FINISHED,
}


def read_state(word: str) -> MirrorState:
    """Returns what W&B's word for the state of a sweep means."""
    return _STATES.get(word.upper(), MirrorState.RUNNING)
