"""What the bodies of all executors have in common."""

from typing import Annotated

from pydantic import Field

from service.api.bodies import Body
from service.api.fields import Text
from service.domain.sweeps import DEFAULT_QUEUE, LaunchSpec

MAX_LABEL_LENGTH = 255

Label = Annotated[Text, Field(min_length=1, max_length=MAX_LABEL_LENGTH)]
_Queue = Annotated[Label, Field(description="Only workers of this queue take it")]


class ExecutorBody(Body):
    """What all executors have in common."""

    executor: str
    queue: _Queue = DEFAULT_QUEUE

    def to_launch(self) -> LaunchSpec:
        arguments = self.model_dump(exclude={"executor", "queue"})
        return LaunchSpec(self.executor, arguments, self.queue)
