"""The attempts of one study that workers are at."""

from collections.abc import Iterable

from service.storage.journal import Launch


class OpenLaunches:
    """By trial number: of a trial's attempts only the latest can be open."""

    def __init__(self, launches: Iterable[Launch]) -> None:
        self._by_number = {launch.number: launch for launch in launches}

    def find(self, number: int) -> Launch | None:
        """The attempt of a trial that a worker is at, if one is."""
        return self._by_number.get(number)

    def list(self) -> list[Launch]:
        """All of them, by trial number."""
        return [self._by_number[number] for number in sorted(self._by_number)]

    def put(self, launch: Launch) -> None:
        """Takes over what is being written."""
        if not launch.state.is_over:
            self._by_number[launch.number] = launch
        elif (found := self.find(launch.number)) and found.attempt == launch.attempt:
            del self._by_number[launch.number]
