"""A clock that only moves when somebody sleeps on it."""

from datetime import UTC, datetime, timedelta

from asktell._retries import Clock


class FakeTime:
    """Time for a client under test; `pauses` are the seconds it slept."""

    def __init__(self, chance: float = 0.0) -> None:
        self.seconds = 1000.0
        self.pauses: list[float] = []
        self.clock = Clock(
            monotonic=lambda: self.seconds,
            sleep=self.sleep,
            random=lambda: chance,
            now=lambda: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds - 1000),
        )

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds
