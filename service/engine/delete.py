"""Delete: remove a study and everything in it."""

from service.engine.engine import Engine


async def delete_study(engine: Engine, name: str) -> None:
    """Removes a study at once, running trials included; their jobs get 404 from then on.

    Raises:
        StudyNotFound: There is no managed study of that name.
        StudyReloading: Somebody else is deleting it.
        StudyOwnedElsewhere: Another process serves it.
        DatabaseUnavailable: It may or may not be gone; repeat.
    """
    async with engine.removing(name) as study_id:
        await engine.studies.delete(study_id)
