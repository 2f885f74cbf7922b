"""Lists in pages: `?cursor=&limit=`, and where the next page is in the body and in the Link header."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from desk.paging import LONGEST, MOST, PAGE, Page

T = TypeVar("T")


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next: str | None = Field(None, description="Cursor of the next page; null on the last one")


class Paging:
    """Which page is asked for, and how its answer is shaped."""

    def __init__(self, request: Request, response: Response, cursor: str, limit: int) -> None:
        self.cursor, self.limit = cursor, limit
        self._request, self._response = request, response

    def shown(self, page: Page[Any], shape: Callable[[Any], Any] = lambda item: item) -> dict[str, Any]:
        """The page as a body; the Link header tells the next one."""
        if page.next:
            address = self._request.url.include_query_params(cursor=page.next)
            self._response.headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
        return {"items": [shape(item) for item in page.items], "next": page.next or None}


async def _paging(  # not the class itself, which FastAPI would call in a thread
    request: Request,
    response: Response,
    cursor: Annotated[str, Query(max_length=LONGEST, description="`next` of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many items at most")] = PAGE,
) -> Paging:
    return Paging(request, response, cursor, limit)


Paged = Annotated[Paging, Depends(_paging)]
