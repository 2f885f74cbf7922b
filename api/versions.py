"""Optimistic concurrency: an answer's ETag names the version, and a write with If-Match only changes that one."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Depends, Header
from starlette.requests import Request
from starlette.responses import Response

from api.problems import Problem

_VERSION: Final = re.compile(r'"v(\d{1,18})"')


def tag(response: Response, version: int) -> None:
    """The answer is of this version."""
    response.headers["ETag"] = f'"v{version}"'


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            description="ETag that was read; refused with 412 when the resource was changed since", examples=['"v3"']
        ),
    ] = None,
) -> int | None:
    if if_match is None or if_match.strip() == "*":
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise Problem("changed-since", "If-Match names no version of this resource")
    return int(found[1])


IfMatch = Annotated[int | None, Depends(_if_match)]


async def refuse_unused(request: Request) -> None:
    """A write that cannot compare versions says so, instead of doing what the client made conditional."""
    if "if-match" in request.headers and request.method != "GET":
        route = request.scope.get("route")
        names = {dependency.call for dependency in route.dependant.dependencies} if route is not None else set()
        if _if_match not in names:
            raise Problem("not-versioned")
