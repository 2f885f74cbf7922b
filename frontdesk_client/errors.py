"""Refusals of the API as exceptions; the class says what a program may do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """The API said no. `code` is stable, `detail` is for people, `request_id` finds the request in the server's log."""

    def __init__(self, problem: Mapping[str, Any], *, retry_after_s: float | None = None) -> None:
        self.status = int(problem.get("status", 0))
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail", ""))
        self.request_id = str(problem.get("request_id", ""))
        self.errors: list[dict[str, str]] = list(problem.get("errors") or ())
        self.retry_after_s = retry_after_s
        super().__init__(f"{self.status} {self.code}: {self.detail}")


class NotAuthenticated(ApiError):
    """The token is missing, wrong, revoked or over."""


class NotPermitted(ApiError):
    """The token's role may not do this."""


class NotFound(ApiError):
    """There is nothing, or nothing that this token may see."""


class Conflict(ApiError):
    """The state of things does not allow it, or the same request is being worked on."""


class Changed(ApiError):
    """Somebody else changed the resource since it was read: read it again, decide again."""


class Invalid(ApiError):
    """The request makes no sense; the same one never will."""


class TooManyRequests(ApiError):
    """More than the token may; `retry_after_s` says when to come back."""


class Unavailable(ApiError):
    """The server cannot answer now, or was not reached; the same request may be tried again."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: Invalid,
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Conflict,
    412: Changed,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, problem: Mapping[str, Any], retry_after_s: float | None) -> ApiError:
    """The exception for an answer."""
    return _BY_STATUS.get(status, ApiError)({"status": status, **problem}, retry_after_s=retry_after_s)
