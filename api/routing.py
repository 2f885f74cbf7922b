"""Routes whose answers are objects of the desk, whatever their parts are made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import wraps
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response


def plain(value: Any) -> Any:
    """The value as dicts, lists and what JSON has a form for; what pydantic reads and checks further."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, Set):
        return sorted(plain(item) for item in value)
    if hasattr(value, "_mapping"):  # a row of the store
        return {name: plain(item) for name, item in value._mapping.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


class DeskRoutes(APIRouter):
    """A router; what its functions return is made plain before it is checked against the answer's model."""

    def add_api_route(self, path: str, endpoint: Callable[..., Awaitable[Any]], **options: Any) -> None:
        @wraps(endpoint)
        async def answered(*args: Any, **given: Any) -> Any:
            found = await endpoint(*args, **given)
            return found if isinstance(found, Response) else plain(found)

        super().add_api_route(path, answered, **options)
