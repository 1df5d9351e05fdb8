"""What a worker launches for an attempt that it was given."""

from asktell.workers import ClaimedAttempt

from service.schedulers.executors.base import Launch


def build_launch(claimed: ClaimedAttempt, url: str) -> Launch:
    """What an executor is to launch, for an attempt of the server at this URL."""
    environment = {
        "ASKTELL_URL": url,
        "ASKTELL_STUDY": claimed.study,
        "ASKTELL_TRIAL": str(claimed.trial),
        "ASKTELL_ATTEMPT": str(claimed.attempt),
        "ASKTELL_ATTEMPT_ID": claimed.attempt_id,
    }
    if claimed.token is not None:
        environment["ASKTELL_TOKEN"] = claimed.token
    return Launch(
        claimed.attempt_id,
        run_id=claimed.run_id,
        study=claimed.study,
        trial=claimed.trial,
        attempt=claimed.attempt,
        params=claimed.params,
        metrics=claimed.metrics,
        directions=claimed.directions,
        arguments=claimed.arguments,
        mirror_ref=claimed.mirror_ref,
        environment=environment,
        external_ref=claimed.external_ref,
    )
