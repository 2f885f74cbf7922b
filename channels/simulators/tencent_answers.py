"""What the stand-ins of WeChat and WeCom answer with: JSON, or a planned fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from channels.simulators.faults import Fault


def json_answer(answer: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


def broken(request: web.Request, fault: Fault, rate_limited: Mapping[str, Any]) -> web.Response:
    """The fault as this call's answer; `rate_limited` is how this vendor says that there were too many calls."""
    match fault.kind:
        case "errcode":
            return json_answer({"errcode": fault.code, "errmsg": "planned"})
        case "rate_limited":
            return json_answer(rate_limited)
        case "error_500":
            return web.Response(status=500)
        case "error_502":
            return web.Response(status=502, text="<html>502 Bad Gateway</html>", content_type="text/html")
        case "error_503":
            return web.Response(status=503)
        case "odd_answer":
            return json_answer({"errmsg": "ok"})
        case "unreadable_answer":
            return web.Response(body=b'{"errcode":0,"errm', content_type="application/json")
    if request.transport is not None:
        request.transport.close()
    return web.Response()
