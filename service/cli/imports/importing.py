"""An import from its beginning to its end."""

from collections.abc import Callable
from typing import TypeAlias

import asktell

from service.cli.imports.fitting import find_misfits
from service.cli.imports.found import Found, Target
from service.cli.imports.posting import Posting
from service.cli.imports.targets import find_target, open_study
from service.cli.imports.telling import Outcome

Read: TypeAlias = Callable[[Target | None], Found]
"""Reads a source for a study, if there is one already."""


def import_all(client: asktell.Client, name: str, read: Read, *, skip_unfit: bool) -> Outcome:
    """Imports what a source has and the study lacks; nothing if a part of it does not fit.

    Args:
        skip_unfit: Import the part that fits.

    Raises:
        CannotStart: The source cannot be read, or the server refuses what it alone can tell; what
            it took before stays.
        asktell.AsktellError: The server cannot be used.
    """
    found = read(find_target(client, name))
    misfits = find_misfits(found)
    if misfits and not skip_unfit:
        return Outcome(found, imported=(), unfit=misfits, is_refused=True)
    fitting = [trial for trial in found.trials if trial.name not in misfits]
    if not fitting:
        return Outcome(found, imported=(), unfit=misfits)
    posting = Posting(open_study(client, found.target), skips_refused=skip_unfit)
    posting.post(fitting)
    return Outcome(found, imported=posting.posted, unfit=misfits | posting.refused)
