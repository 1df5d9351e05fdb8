"""The study that trials go to: what is there already, and how it comes to be."""

import asktell

from service.cli.failures import WrongUse
from service.cli.imports.found import ORIGIN_ATTR, Target

_ENDED_STATES = ("COMPLETE", "PRUNED", "FAIL")


def find_target(client: asktell.Client, name: str) -> Target | None:
    """Returns what is known of a study and of the trials in it; None if there is none.

    Raises:
        WrongUse: No study can have this name.
    """
    try:
        study = client.get_study(name)
    except asktell.NotFoundError:
        return None
    except ValueError as error:
        raise WrongUse(str(error)) from error
    trials = study.get_trials(states=_ENDED_STATES)
    origins = (trial.user_attrs.get(ORIGIN_ATTR) for trial in trials)
    return Target(
        name=name,
        objectives={each.name: each.direction.name.lower() for each in study.objectives},
        space=study.space,
        origins=frozenset(origin for origin in origins if isinstance(origin, str)),
        constraints=next(
            (frozenset(each.constraints) for each in trials if each.constraints), None
        ),
    )


def open_study(client: asktell.Client, target: Target) -> asktell.Study:
    """Returns the study, after creating it if it is new."""
    if not target.is_new:
        return client.get_study(target.name)
    return client.create_study(
        target.name, objectives=target.objectives, space=target.space, if_exists="load"
    )
