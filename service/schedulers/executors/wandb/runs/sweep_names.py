"""Which sweep of W&B a run may name as its own."""


def find_sweep_name(mirror_ref: str | None, entity: str | None, project: str) -> str | None:
    """Returns the sweep's name only; None if there is none where the run is.

    W&B looks for it there and nowhere else, and the run fails if it is not there. Workers may
    differ in where their runs go.
    """
    sweep_entity, _, rest = (mirror_ref or "").partition("/")
    sweep_project, _, name = rest.partition("/")
    # Launch agents write a project's name in small letters, whatever they were told.
    is_there = (sweep_entity, sweep_project.lower()) == (entity, project.lower())
    return name if name and is_there else None
