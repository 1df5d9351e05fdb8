"""Found trials on their way to the server, each of them once."""

import hashlib
import json
from collections.abc import Iterator, Sequence

import asktell

from service.cli.failures import CannotStart
from service.cli.imports.found import FoundTrial

MOST_TRIALS = 200
# Half of what a server takes by default; a trial that is larger goes alone.
_MOST_BYTES = 2_000_000
_TOO_LARGE = 413


class Posting:
    """Sends batches of trials. What was sent and not answered may be sent again.

    The key of a batch is made of what is in it: whoever imports the same trials after a crash, or
    at the same time, gets the first answer again.

    Args:
        skips_refused: Go on with the others when trials are refused.

    Attributes:
        posted: Trials that are stored.
        refused: Why the server does not take trials, by their names.
    """

    def __init__(self, study: asktell.Study, *, skips_refused: bool) -> None:
        self._study = study
        self._skips_refused = skips_refused
        self.posted: list[FoundTrial] = []
        self.refused: dict[str, str] = {}

    def post(self, trials: Sequence[FoundTrial]) -> None:
        """Stores them in their order.

        Raises:
            CannotStart: The server refuses a batch; those before it are stored.
        """
        for batch in _cut(trials):
            self._post(batch)

    def _post(self, batch: Sequence[FoundTrial]) -> None:
        try:
            self._send(batch)
        except asktell.InvalidError as error:
            if len(batch) > 1 and (self._skips_refused or error.status == _TOO_LARGE):
                self._post_halves(batch)
            elif self._skips_refused:
                self.refused[batch[0].name] = str(error)
            else:
                raise CannotStart(
                    f"The server refuses {batch[0].name} to {batch[-1].name}, after "
                    f"{len(self.posted)} trials that it has taken: {error}"
                ) from error

    def _post_halves(self, batch: Sequence[FoundTrial]) -> None:
        half = len(batch) // 2
        self._post(batch[:half])
        self._post(batch[half:])

    def _send(self, batch: Sequence[FoundTrial]) -> None:
        documents = [trial.document for trial in batch]
        text = json.dumps(documents, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()
        self._study.add_trials(documents, idempotency_key=key)
        self.posted += batch


def _cut(trials: Sequence[FoundTrial]) -> Iterator[Sequence[FoundTrial]]:
    """Cuts alike from whichever batch on, for a repeat begins with the first that is missing."""
    batch: list[FoundTrial] = []
    n_bytes = 0
    for trial in trials:
        size = len(json.dumps(trial.document))
        if batch and (len(batch) == MOST_TRIALS or n_bytes + size > _MOST_BYTES):
            yield batch
            batch, n_bytes = [], 0
        batch.append(trial)
        n_bytes += size
    if batch:
        yield batch
