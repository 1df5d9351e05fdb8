"""Release: hand a study back to plain Optuna."""

from service.domain.errors import StudyInUse
from service.engine.engine import Engine


async def release_study(engine: Engine, name: str, *, force: bool = False) -> tuple[int, ...]:
    """Gives up a study: every trial stays, what Asktell alone keeps of it goes.

    From then on it is a study like any other of Optuna's. Plain Optuna ends only trials that it
    has asked for itself, so those that are running, or wait for a further attempt, are failed.
    Enqueued ones stay for its next ask.

    Args:
        force: Also while clients are at it; they get `StudyNotFound` from then on.

    Returns:
        Numbers of the trials that were failed.

    Raises:
        StudyNotFound: There is no managed study of that name.
        StudyInUse: Attempts are live; nothing was changed.
        StudyReloading: Somebody else is removing it.
        StudyOwnedElsewhere: Another process serves it.
        DatabaseUnavailable: It may or may not be released; repeat.
    """
    # Asked once before, so that a refusal disturbs nobody who works on the study.
    if not force:
        await _refuse_live(engine, name)
    async with engine.removing(name) as study_id:
        if not force:
            await _refuse_live(engine, name)
        return await engine.plain_studies.release(study_id, now=engine.clock())


async def _refuse_live(engine: Engine, name: str) -> None:
    live = await engine.plain_studies.count_live(name)
    if live:
        raise StudyInUse(
            f"{live} attempt(s) of study {name!r} are live. Stop the study and wait for them, or "
            "release it with force, which fails them."
        )
