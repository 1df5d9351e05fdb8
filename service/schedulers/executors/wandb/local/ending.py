"""How an attempt that is a W&B run ended: by its process, and by what its run says."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace

from service.domain.attempts import Ending, EndingKind

_INTERRUPTED = 255


@dataclass(frozen=True, slots=True)
class RunEnd:
    """What a run tells of its end.

    Attributes:
        exit_code: Of its exit record; None without one.
        is_cut_short: It had its end, and its process was not let upload any longer.
        trouble: What is wrong with its log, in a sentence about that.
    """

    has_run: bool
    exit_code: int | None
    is_preempting: bool
    is_cut_short: bool
    values: Mapping[str, float]
    trouble: str | None = None


def judge(ending: Ending, run: RunEnd, *, was_told: bool) -> Ending:
    """Returns how the attempt ended.

    Args:
        ending: Of its process.
        was_told: The worker had it stopped.
    """
    ending = replace(ending, values=dict(run.values))
    if ending.kind is not EndingKind.EXITED or not run.has_run:
        return ending
    ending = _believe_run(ending, run)
    if run.is_preempting and _has_failed(ending) and not was_told:
        return replace(ending, kind=EndingKind.PREEMPTED)
    return ending


def may_be_a_persons_doing(ending: Ending) -> bool:
    """Tells whether a process ended as one does that W&B has interrupted.

    W&B has its run's program raise KeyboardInterrupt, and what that does is up to the program.
    """
    return _has_failed(ending)


def blame_person(ending: Ending) -> Ending:
    """Returns the same end, seen as what it is."""
    message = "A person stopped the run in W&B."
    return replace(ending, kind=EndingKind.CANCELLED, message=message)


def blame_move(ending: Ending, where: str) -> Ending:
    """Returns the same end, with what to do: W&B looks for a run's sweep only where the run is.

    Args:
        where: Entity and project that the program has its run in.
    """
    if not _has_failed(ending):
        return ending
    advice = (
        f"Its run was to be in {where}, and its sweep on W&B is elsewhere: a script or the program "
        "sets WANDB_PROJECT or WANDB_ENTITY. Take that out, or name them in the sweep's `wandb`, "
        "or say `sweep: false` there."
    )
    return replace(ending, message=" ".join(filter(None, (ending.message, advice))))


def choose_final_exit_code(*, was_told: bool) -> int:
    """Returns what is said in place of a process that could not tell its run's end itself."""
    return _INTERRUPTED if was_told else 1


def had_to_leave(number: int | None) -> bool:
    """Tells whether a process that this signal ended had no time to upload what it recorded."""
    return number not in (None, signal.SIGINT)


def _believe_run(ending: Ending, run: RunEnd) -> Ending:
    """A process that failed needs no word of its run, unless it was only cut short."""
    is_cut_short = run.is_cut_short and run.exit_code is not None
    if ending.exit_code != 0 and not is_cut_short:
        return ending
    if run.exit_code == 0:
        return replace(ending, exit_code=0, signal=None, message=None)
    return replace(ending, kind=EndingKind.FAILED, message=_explain_failure(ending, run))


def _has_failed(ending: Ending) -> bool:
    has_exited_badly = ending.kind is EndingKind.EXITED and ending.exit_code != 0
    return has_exited_badly or ending.kind is EndingKind.FAILED


def _explain_failure(ending: Ending, run: RunEnd) -> str:
    if run.exit_code is None:
        return _explain_no_end(run.trouble)
    failure = f"Its W&B run ended with exit code {run.exit_code}"
    return f"{failure}, the program itself with 0." if ending.exit_code == 0 else f"{failure}."


def _explain_no_end(trouble: str | None) -> str:
    if trouble is not None:
        return f"Its W&B run has no end that could be read from its log. {trouble}"
    return (
        "Its W&B run has no end: wandb was killed, or the program left by os._exit. What it logged "
        "last may be missing."
    )
