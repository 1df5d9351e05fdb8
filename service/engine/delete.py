"""Delete: remove a study and everything in it."""

from service.domain.errors import StudyNotFound
from service.engine.engine import Engine


async def delete_study(engine: Engine, name: str) -> None:
    """Removes a study at once, running trials included; their jobs get 404 from then on.

    Raises:
        StudyNotFound: There is no managed study of that name.
        StudyOwnedElsewhere: Another process serves it.
        DatabaseUnavailable: It may or may not be gone; repeat.
    """
    actor = await engine.get_actor(name)
    await engine.end_actor(actor, StudyNotFound(f"Study {name!r} was deleted."))
    try:
        await engine.studies.delete(actor.study_id)
    finally:
        await engine.release(actor)
