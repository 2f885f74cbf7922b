"""The API as one ASGI application: guard, routes, specification."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from api.audiences import audience_routes
from api.broadcasts import broadcast_routes
from api.cases import case_routes
from api.conversations import conversation_routes
from api.customers import customer_routes
from api.desk import ApiDesk
from api.guard import Guard
from api.helpers import helper_routes
from api.hooks import hook_routes
from api.knowledge import knowledge_routes
from api.learning import learning_routes
from api.problems import ProblemDetails, add_handlers
from api.rendering import ApiResponse, render
from api.reports import report_routes
from api.service import service_routes
from api.spec import specification
from api.staff import staff_routes
from api.trials import trial_routes
from api.versions import refuse_unused
from desk.api_answers import ApiAnswers

ROUTES = (
    conversation_routes,
    helper_routes,
    customer_routes,
    case_routes,
    service_routes,
    knowledge_routes,
    trial_routes,
    learning_routes,
    report_routes,
    staff_routes,
    hook_routes,
    broadcast_routes,
    audience_routes,
)
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDetails, "description": words}
    for status, words in (
        (401, "No valid token"),
        (403, "The token's role may not do this"),
        (404, "Not there, or not visible to this token"),
        (422, "The request does not make sense"),
        (429, "Too many requests with this token"),
        ("default", "Any other refusal"),
    )
}


def build_api(desk: ApiDesk) -> ASGIApp:
    """Everything below `/api/v1` that a token opens. Takes a few tenths of a second."""
    app = FastAPI(
        title="Frontdesk",
        default_response_class=ApiResponse,
        responses=_REFUSALS,
        dependencies=[Depends(refuse_unused)],
        generate_unique_id_function=_name,
        openapi_url=None,  # the guard answers, from a document that is made in a thread
        redirect_slashes=False,
    )
    for routes in ROUTES:
        app.include_router(routes(desk))
    add_handlers(app)
    return Guard(app, desk, ApiAnswers(desk.database, desk.clock), lambda: render(specification(app)))


def _name(route: APIRoute) -> str:
    """Operations are called as their functions are, so that generated clients keep their names."""
    return route.name
