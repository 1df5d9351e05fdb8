"""Bodies about studies: their shape, and their translation into the engine's commands."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from service.api.bodies import Body, ComponentBody
from service.api.fields import (
    Attributes,
    Count,
    FiniteNumber,
    JsonObject,
    Seconds,
    Text,
)
from service.domain.limits import MAX_NAME_LENGTH, MAX_SOURCE_LENGTH
from service.domain.studies import (
    DEFAULT_LEASE_SECONDS,
    AttemptEnd,
    Budget,
    Direction,
    IfExists,
    Objective,
    RetryMode,
    RetryPolicy,
    StudySettings,
)
from service.domain.user_code import Role, UserCode
from service.engine.create import NewStudy


def _check_identifier(name: str) -> str:
    if not name.isidentifier():
        raise PydanticCustomError("function", "must be the name of a function in the source")
    return name


_FunctionName = Annotated[Text, AfterValidator(_check_identifier)] | None

_RETRY = RetryPolicy()
_NO_RETRY = RetryPolicy(max_attempts=1, on=frozenset())
_SETTINGS = frozenset({"budget", "parallelism", "lease_seconds", "retry"})
_BUDGET = "null: no limits"
_RETRIES = "null: no trial gets a further attempt"
_PARALLELISM = "Most attempts that are live at a time; null: no limit"
_LEASE = "An attempt without a report or heartbeat for so long counts as lost; null: none does"


class ObjectiveBody(Body):
    """One value that a trial is told, and which way it improves."""

    name: Annotated[Text, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
    direction: Direction


class BudgetBody(Body):
    """When a study stops by itself; null is no limit."""

    max_trials: Count | None = Field(
        default=None, description="Trials started here, whatever their end; imports do not count"
    )
    max_seconds: Seconds | None = Field(
        default=None, description="Since the first ask, pauses included"
    )
    max_failures: Count | None = Field(default=None, description="FAIL trials in a row")
    target: FiniteNumber | None = Field(
        default=None, description="Stops once the best value is this good"
    )
    patience: Count | None = Field(
        default=None, description="COMPLETE and PRUNED trials in a row without a new best value"
    )

    def to_budget(self) -> Budget:
        return Budget(**self.model_dump())


class RetryBody(Body):
    """When a trial gets a further attempt, and what that one finds."""

    max_attempts: Count = Field(
        default=_RETRY.max_attempts,
        description="In all; one that a worker had to give up is the last only after a hundred",
    )
    on: frozenset[AttemptEnd] = Field(
        default=_RETRY.on, description="Ends of an attempt that another one follows"
    )
    mode: RetryMode = Field(
        default=_RETRY.mode,
        description="restart: reports of earlier attempts are removed; resume: they stay",
    )

    def to_policy(self) -> RetryPolicy:
        return RetryPolicy(max_attempts=self.max_attempts, on=self.on, mode=self.mode)


class PythonBody(Body):
    """Python that declares the parameters of each trial, or gives sampler and pruner.

    Functions that are not named here count if they have the name of their key, except that
    `search_space` and `optimizer` count only when they are named.
    """

    source: Annotated[Text, Field(min_length=1, max_length=MAX_SOURCE_LENGTH)] = Field(
        description="The text itself; the server opens no file and no address"
    )
    objective: _FunctionName = None
    search_space: _FunctionName = None
    optimizer: _FunctionName = None
    sampler: _FunctionName = None
    pruner: _FunctionName = None
    study: _FunctionName = None

    def to_user_code(self) -> UserCode:
        names = self.model_dump(exclude={"source"}, exclude_none=True)
        return UserCode(self.source, {Role(role): name for role, name in names.items()})


class CreateStudyBody(Body):
    """A study to make. Give `direction` for one objective or `objectives` for several."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "digits",
                    "direction": "maximize",
                    "space": {
                        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True},
                        "layers": {"type": "int", "low": 1, "high": 4},
                        "optimizer": {"type": "categorical", "choices": ["adam", "sgd"]},
                    },
                    "pruner": {"type": "MedianPruner", "args": {"n_startup_trials": 5}},
                    "budget": {"max_trials": 100},
                    "parallelism": 8,
                    "if_exists": "load",
                }
            ]
        }
    )

    name: str
    direction: Direction | None = None
    objectives: Annotated[list[ObjectiveBody], Field(min_length=1)] | None = None
    space: JsonObject | None = Field(
        default=None, description="Parameters by name; left out, each trial declares its own."
    )
    python: PythonBody | None = Field(
        default=None, description="In place of space, sampler and pruner, or of some of them"
    )
    sampler: ComponentBody | None = None
    pruner: ComponentBody | None = None
    seed: Annotated[StrictInt, Field(ge=0, lt=2**32)] | None = None
    budget: BudgetBody | None = Field(default=None, description=_BUDGET)
    parallelism: Count | None = Field(default=None, description=_PARALLELISM)
    lease_seconds: Seconds | None = Field(default=DEFAULT_LEASE_SECONDS, description=_LEASE)
    retry: RetryBody | None = Field(default_factory=RetryBody, description=_RETRIES)
    user_attrs: Attributes = Field(default_factory=dict)
    if_exists: IfExists = IfExists.FAIL

    @model_validator(mode="after")
    def _check_objectives(self) -> Self:
        if (self.direction is None) == (self.objectives is None):
            raise PydanticCustomError(
                "objectives", "give either direction (one objective) or objectives (several)"
            )
        names = [objective.name for objective in self.objectives or ()]
        if len(set(names)) != len(names):
            raise PydanticCustomError("objective_names", "objectives must have different names")
        return self

    def to_command(self, idempotency_key: str | None) -> NewStudy:
        return NewStudy(
            name=self.name,
            objectives=self._to_objectives(),
            space=self.space,
            sampler=self.sampler.to_component() if self.sampler else None,
            pruner=self.pruner.to_component() if self.pruner else None,
            seed=self.seed,
            settings=self._find_settings(),
            user_attrs=self.user_attrs,
            user_code=self.python.to_user_code() if self.python else None,
            if_exists=self.if_exists,
            idempotency_key=idempotency_key,
        )

    def _to_objectives(self) -> tuple[Objective, ...]:
        if self.direction is not None:
            return (Objective("value", self.direction),)
        return tuple(Objective(each.name, each.direction) for each in self.objectives or ())

    def _find_settings(self) -> StudySettings | None:
        if not self.model_fields_set & _SETTINGS:
            return None
        return StudySettings(
            budget=self.budget.to_budget() if self.budget else Budget(),
            parallelism=self.parallelism,
            lease_seconds=self.lease_seconds,
            retry=self.retry.to_policy() if self.retry else _NO_RETRY,
        )


class ChangeStudyBody(Body):
    """A JSON merge patch (RFC 7396) of a study's settings: what is left out stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"budget": {"max_trials": 200}, "parallelism": None},
                {"lease_seconds": 120, "retry": {"mode": "resume"}},
                {"user_attrs": {"owner": "Ada"}},
            ]
        }
    )

    budget: BudgetBody | None = Field(default=None, description=_BUDGET)
    parallelism: Count | None = Field(default=None, description=_PARALLELISM)
    lease_seconds: Seconds | None = Field(default=None, description=_LEASE)
    retry: RetryBody | None = Field(default_factory=RetryBody, description=_RETRIES)
    user_attrs: Attributes = Field(
        default_factory=dict, description="Set by name; others stay. null is a value like any other"
    )

    @classmethod
    def _describe_unknown(cls, name: str) -> str:
        if name in CreateStudyBody.model_fields:
            return f"cannot be changed; what can be: {', '.join(cls.model_fields)}"
        return super()._describe_unknown(name)

    def to_patch(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_unset=True, include=set(_SETTINGS))
