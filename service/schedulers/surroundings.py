"""What the followers of one worker share, and when they leave their attempts to others."""

import asyncio
from dataclasses import dataclass

from service.schedulers.executors.base import Executor
from service.schedulers.launch_troubles import LaunchTroubles
from service.schedulers.pace import Pace
from service.schedulers.server_calls import ServerCalls
from service.schedulers.workdir import Workdir


class LeftToOthers(Exception):
    """The worker leaves, and another one goes on with the attempt."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the followers of one worker share.

    Attributes:
        is_closing: Set once no more attempts are to be launched; set before `must_go` is.
        must_go: Set once the worker has to go, and its attempts with it.
    """

    calls: ServerCalls
    workdir: Workdir
    pace: Pace
    is_closing: asyncio.Event
    must_go: asyncio.Event
    troubles: LaunchTroubles

    def leave_if_others_can_follow(self, executor: Executor) -> None:
        """Ends the following of an attempt here, if the worker has to go and others can follow it.

        Raises:
            LeftToOthers: That is so.
        """
        if executor.is_shared and self.must_go.is_set():
            raise LeftToOthers
