"""The OpenAPI document: what FastAPI knows, the way in, problems, and the routes that have tokens of their own."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

DESCRIPTION: Final = """Everything the staff console can do. See docs/api.md for the whole story.

- **Tokens**: `Authorization: Bearer …`. A token has a role; what it may not see is 404, what it may not do 403.
- **Lists** come in pages: `limit` and `cursor`; `next` (and the Link header) names the next page.
- **Writes** take an `Idempotency-Key`: within a day the same request is done once and answered the same.
- **Versions**: `ETag` of what was read, sent back as `If-Match`, refuses a write (412) when somebody else was faster.
- **Problems** are `application/problem+json`; `code` is for programs.
"""
PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "The same request with the same key is done once, and answered the same for 24 hours",
}


def specification(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Frontdesk API",
            version="1",
            description=DESCRIPTION,
            routes=app.routes,
            servers=[{"url": "/api/v1"}],
            license_info={"name": "Apache-2.0"},
        )
        document["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "An API token, given out in the settings"},
            "feeder": {"type": "http", "scheme": "bearer", "description": "The token of a feed, from the settings"},
        }
        document["security"] = [{"token": []}]
        for path in document["paths"].values():
            for method, operation in path.items():
                _finish(operation, is_write=method != "get")
        document["paths"].update(FEEDS)
        document["components"]["schemas"].pop("HTTPValidationError", None)
        document["components"]["schemas"].pop("ValidationError", None)
        app.openapi_schema = document
    return app.openapi_schema


def _finish(operation: dict[str, Any], *, is_write: bool) -> None:
    if is_write:
        operation.setdefault("parameters", []).append(_KEY)
    else:
        operation["responses"]["304"] = {"description": "The client has this already (If-None-Match)"}
    for status, answer in operation["responses"].items():
        if status == "default" or status[0] in "45":
            answer["content"] = PROBLEM


def _words(**more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": 200, **more}


def _moment(text: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "format": "date-time", "description": text}


_REFUSED: Final = {
    "description": "A refusal, in the shape of these two routes",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                    }
                },
            }
        }
    },
}


def _taken(name: str, summary: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    known = {"type": "object", "properties": {"id": {"type": "integer"}, "is_new": {"type": "boolean"}}}
    answer = {"description": "Known now", "content": {"application/json": {"schema": known}}}
    body = {"type": "object", "properties": properties, "required": required}
    return {
        "tags": ["feeds"],
        "operationId": name,
        "summary": summary,
        "security": [{"feeder": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": {**answer, "description": "Known before"}, "202": answer, "default": _REFUSED},
    }


_TEXTS: Final = {
    "type": "object",
    "properties": {language: {"type": "string", "minLength": 1, "maxLength": 2000} for language in ("zh", "en")},
    "additionalProperties": False,
    "minProperties": 1,
}
# Routes of frontdesk/feed_routes.py: there where the settings name a feed.
FEEDS: Final[dict[str, Any]] = {
    "/feeds/{topic}": {
        "post": {
            **_taken(
                "tell_subscribers",
                "News for everybody who subscribed to the topic",
                {
                    "key": _words(minLength=1, description="The feeder's own; the same key again changes nothing"),
                    "words": _TEXTS,
                    "match": _words(description="Region, order or article it is about; empty: all of the topic"),
                    "at": _moment("Not before"),
                    "until": _moment("Worth nothing after"),
                },
                ["key", "words"],
            ),
            "parameters": [{"name": "topic", "in": "path", "required": True, "schema": {"type": "string"}}],
        }
    },
    "/outages": {
        "post": _taken(
            "tell_outage",
            "A known fault or planned work, its end, or a new time of its end",
            {
                "key": _words(minLength=1),
                "kind": {"enum": ["outage", "planned"]},
                "area": _words(),
                "latitude": {"type": ["number", "null"]},
                "longitude": {"type": ["number", "null"]},
                "radius_m": {"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000},
                "starts_at": _moment("When it begins or began"),
                "expected_end_at": _moment("When it should be over"),
                "ended_at": _moment("When it was over"),
            },
            ["key"],
        )
    },
}
