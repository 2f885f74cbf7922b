"""What goes wrong, as `application/problem+json` (RFC 9457): one shape for every refusal, with a word for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.rendering import render
from bot.errors import (
    DedupeMismatch,
    InputError,
    NotFound,
    NotPermitted,
    RateLimited,
    RuleError,
    ServiceError,
    StaleState,
)

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
NAMESPACE: Final = "urn:frontdesk:problem:"
RETRY_AFTER_S: Final = 2
MOST_ERRORS: Final = 50  # of one request, told at once
# Word of the problem -> its status and title. Stable: clients compare them.
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "not-json": (400, "The body is no JSON document"),
    "not-versioned": (400, "This resource has no version to compare with"),
    "not-authenticated": (401, "A valid token is needed"),
    "not-permitted": (403, "The token's role may not do this"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "The resource does not know this method"),
    "conflict": (409, "The state of the resource does not allow this"),
    "in-progress": (409, "The same request is being worked on"),
    "changed-since": (412, "The resource was changed since it was read"),
    "too-large": (413, "The body is too large"),
    "not-json-type": (415, "The body must be application/json"),
    "invalid": (422, "The request does not make sense"),
    "key-reused": (422, "The idempotency key was used for another request"),
    "too-many-requests": (429, "Too many requests with this token"),
    "internal": (500, "Something went wrong on our side"),
    "unavailable": (503, "The service cannot answer now"),
}


class FieldError(BaseModel):
    """What is wrong with one part of the request."""

    where: str = Field(description="Place in the request", examples=["body/severity"])
    detail: str = Field(description="What is wrong with it", examples=["Input should be less than or equal to 4"])


class ProblemDetails(BaseModel):
    """A refusal, as RFC 9457 writes it."""

    type: str = Field(description="Names the kind of problem", examples=[f"{NAMESPACE}not-found"])
    title: str = Field(description="The kind of problem in words, always the same", examples=["There is nothing here"])
    status: int = Field(description="The HTTP status", examples=[404])
    code: str = Field(description="The kind of problem, for programs: the end of `type`", examples=["not-found"])
    detail: str = Field(description="This occurrence in words, for people", examples=["there is no case C-9"])
    request_id: str = Field(description="Names the request in the log", examples=["4f0c5a7be1"])
    errors: list[FieldError] | None = Field(default=None, description="What is wrong where, for `invalid`")


class Problem(Exception):
    """A refusal by the API itself."""

    def __init__(self, code: str, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail or PROBLEMS[code][1])
        self.code, self.headers = code, dict(headers or {})


def problem(
    code: str,
    detail: str,
    request_id: str,
    *,
    status: int | None = None,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer that says so."""
    known, title = PROBLEMS[code]
    document: dict[str, Any] = {
        "type": f"{NAMESPACE}{code}",
        "title": title,
        "status": status or known,
        "code": code,
        "detail": detail or title,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = list(errors)
    return Response(render(document), status or known, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Every way in which a request of `app` can fail is answered with a problem."""
    app.add_exception_handler(Problem, _own)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    for kind, code in (
        (NotPermitted, "not-permitted"),
        (DedupeMismatch, "conflict"),
        (RuleError, "conflict"),
        (NotFound, "not-found"),
        (InputError, "invalid"),
    ):
        app.add_exception_handler(kind, _refusal(code))
    app.add_exception_handler(StaleState, _stale)
    app.add_exception_handler(ServiceError, _service)
    app.add_exception_handler(Exception, _unexpected)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


async def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - Starlette's handler signature is wider than its calls
    return problem(error.code, str(error), request_id_of(request), headers=error.headers)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    codes = {404: "not-found", 405: "method-not-allowed", 400: "not-json"}
    code = codes.get(error.status_code, "internal")
    detail = "" if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
    return problem(code, detail, request_id_of(request), headers=dict(error.headers or {}))


async def _validation(request: Request, error: Exception) -> Response:
    """What is wrong and where; never what was given, which may be somebody's data."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return problem("not-json", "", request_id_of(request))
    errors = [
        {"where": "/".join(str(part) for part in item["loc"])[:200], "detail": str(item["msg"])[:300]}
        for item in found[:MOST_ERRORS]
    ]
    detail = "; ".join(f"{item['where']}: {item['detail']}" for item in errors[:3])
    return problem("invalid", detail, request_id_of(request), errors=errors)


def _refusal(code: str) -> Any:
    async def refusal(request: Request, error: Exception) -> Response:
        return problem(code, str(error), request_id_of(request))

    return refusal


async def _stale(request: Request, error: Exception) -> Response:
    code = "changed-since" if "if-match" in request.headers else "conflict"
    return problem(code, str(error), request_id_of(request))


async def _service(request: Request, error: Exception) -> Response:
    wait_s = error.retry_after_s if isinstance(error, RateLimited) else RETRY_AFTER_S
    log.error("api_request_not_served", path=request.url.path, error=type(error).__name__)
    headers = {"Retry-After": str(max(1, int(wait_s)))}
    return problem("unavailable", "", request_id_of(request), headers=headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    # Starlette raises it again, and the guard logs it.
    return problem("internal", "", request_id_of(request))
