"""What it means that W&B refuses what a worker asks."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.schedulers.executors.connection.connection import SystemRefused


@contextmanager
def blaming_worker() -> Iterator[None]:
    """For questions that W&B answers whoever may look."""
    try:
        yield
    except SystemRefused as error:
        raise blame_worker(error) from error


def blame_worker(error: SystemRefused) -> SystemRefused:
    """Returns a refusal that has nothing to do with the attempt."""
    message = f"W&B refuses this worker: {error}"
    return SystemRefused(message, is_about_key=error.is_about_key)


def describe_hidden_project(entity: str, project: str) -> str:
    """Says why nothing is known of the runs of a project, for people."""
    return f"W&B shows no project {entity}/{project} to this key; give its user access to it."
