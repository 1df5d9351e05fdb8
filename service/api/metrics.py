"""`/metrics`: what the process counts about itself, for Prometheus to collect."""

from typing import Any

from fastapi import APIRouter, Response

from service.api.dependencies import EngineDependency
from service.api.strict import StrictRoute
from service.metrics import METRICS_MEDIA_TYPE, render_metrics

router = APIRouter(tags=["health"], route_class=StrictRoute)

_TEXT: dict[str, Any] = {
    "description": "Prometheus's text format 0.0.4",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@router.get("/metrics", response_class=Response, responses={200: _TEXT})
async def show_metrics(engine: EngineDependency) -> Response:
    """Show counts since the start of the process, and levels as they are now."""
    text = render_metrics(
        actors=engine.count_actors(),
        live_attempts=engine.count_live_attempts(),
        queued_operations=engine.count_queued_operations(),
    )
    return Response(text, media_type=METRICS_MEDIA_TYPE)
