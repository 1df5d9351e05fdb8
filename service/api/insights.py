"""`/studies/{study}/importances` and `/plots/{kind}`: what Optuna has to say about a study."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from service.api.answers import Answer, JsonAnswer
from service.api.dependencies import ActorDependency, EngineDependency
from service.api.fields import Text
from service.api.openapi import describe_answer, describe_problems
from service.api.strict import StrictRoute
from service.domain.insights import Evaluator, PlotKind
from service.domain.limits import MAX_NAME_LENGTH
from service.engine.insights import Wanted

router = APIRouter(prefix="/studies/{study}", tags=["studies"], route_class=StrictRoute)

_Objective = Annotated[
    Text | None,
    Query(max_length=MAX_NAME_LENGTH, description="Name of one objective of several"),
]
_Params = Annotated[
    list[Text] | None,
    Query(max_length=100, description="Parameters to look at, repeated for each; all by default"),
]


class ImportancesAnswer(Answer):
    """How much each parameter matters for an objective."""

    objective: str = Field(examples=["value"])
    evaluator: Evaluator
    importances: dict[str, float] = Field(
        description="By parameter, the most important one first; they add up to 1",
        examples=[{"lr": 0.8, "layers": 0.2}],
    )


@router.get(
    "/importances",
    responses={
        200: describe_answer(ImportancesAnswer, "As of the last commit"),
        **describe_problems(404),
    },
)
async def show_importances(
    actor: ActorDependency,
    engine: EngineDependency,
    *,
    evaluator: Evaluator = Evaluator.PED_ANOVA,
    objective: _Objective = None,
    params: _Params = None,
) -> Response:
    """Rate the parameters of a study, by Optuna's evaluators, from its complete trials."""
    wanted = Wanted(None, objective, _to_names(params), evaluator)
    importances = await engine.insights.show(actor, wanted)
    return JsonAnswer(
        {
            "objective": objective or actor.spec.objectives[0].name,
            "evaluator": evaluator,
            "importances": importances,
        }
    )


@router.get(
    "/plots/{kind}",
    responses={
        200: {
            "description": "A figure as Plotly's JSON, with `data` and `layout`",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
        **describe_problems(404),
    },
)
async def show_plot(
    actor: ActorDependency,
    engine: EngineDependency,
    kind: PlotKind,
    *,
    evaluator: Evaluator | None = None,
    objective: _Objective = None,
    params: _Params = None,
) -> Response:
    """Show one of Optuna's plots; `plotly.io.from_json` makes a figure of it."""
    wanted = Wanted(kind, objective, _to_names(params), evaluator)
    figure: str = await engine.insights.show(actor, wanted)
    return Response(figure, media_type="application/json")


def _to_names(params: list[str] | None) -> tuple[str, ...] | None:
    return None if params is None else tuple(sorted(set(params)))
