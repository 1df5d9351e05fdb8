"""A replica gets every accepted journal once, or learns that some are missing."""

from service.engine.replica.feed import Feed
from service.storage.journal import Mutation, TrialRestarted

FIRST, SECOND, THIRD = (TrialRestarted(number) for number in range(3))


def open_feed(revision: int = 3) -> Feed:
    feed = Feed()
    feed.open(revision)
    return feed


def test_gives_what_lies_between_two_revisions() -> None:
    feed = open_feed()
    feed.note(4, [FIRST])
    feed.note(5, [SECOND, THIRD])
    nothing: list[Mutation] = []
    feed.note(6, nothing)
    assert feed.take(after=3, until=3) == []
    assert feed.take(after=3, until=4) == [FIRST]
    feed.open(6)
    assert feed.take(after=4, until=6) == [SECOND, THIRD]
    assert feed.take(after=6, until=6) == []


def test_says_when_it_was_not_there() -> None:
    feed = open_feed()
    assert feed.take(after=2, until=3) is None
    feed.close()
    feed.note(4, [FIRST])
    assert feed.take(after=3, until=4) is None
    feed.open(4)
    assert feed.take(after=3, until=4) is None


def test_gives_up_rather_than_keep_without_end() -> None:
    feed = open_feed(0)
    for revision in range(1, 20_002):
        feed.note(revision, [FIRST])
    assert feed.take(after=0, until=20_001) is None
