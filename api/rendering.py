"""JSON of whatever customers may have written: half a surrogate pair is no reason to fail."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse


def render(document: Any) -> bytes:
    """The document as UTF-8; what UTF-8 cannot say becomes a question mark."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    return text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


class ApiResponse(JSONResponse):
    """An answer whose words may hold anything."""

    def render(self, content: Any) -> bytes:
        return render(content)
