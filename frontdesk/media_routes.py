"""`GET /media/{key}`: a stored file for whoever holds a signed link, which is verified before anything is looked up."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import NotFound, SignatureInvalid
from bot.ports import StoredFile
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.links import LinkExpired

SAFE_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",  # the chat shows pictures on the shop's own pages
}
_CACHED_S: Final = 3600
_RANGE: Final = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")  # one range; several are answered with everything
_SHOWN: Final = frozenset({"image", "audio", "video"})


def media_routes(library: SqlMediaLibrary) -> list[BaseRoute]:
    return [Route("/media/{key}", _media(library), methods=["GET"])]


def _media(library: SqlMediaLibrary) -> Callable[[Request], Awaitable[Response]]:
    async def media(request: Request) -> Response:
        key, asked = request.path_params["key"], request.query_params
        try:
            library.verify_link(key, asked.get("expires", ""), asked.get("signature", ""))
        except SignatureInvalid:
            return _refusal(403, "This link is not valid. · 链接无效。")
        except LinkExpired:
            return _refusal(410, "This link is no longer valid. · 链接已过期。")
        row = await library.row(key)
        if row is None or row.state in ("wanted", "storing", "refused"):
            return _refusal(404, "There is no such file. · 文件不存在。")
        if row.state != "stored":
            return _refusal(410, "This file is no longer kept. · 文件已不再保存。")
        try:
            return await _answer(library, row.file, request)
        except NotFound:
            return _refusal(404, "There is no such file. · 文件不存在。")

    return media


async def _answer(library: SqlMediaLibrary, file: StoredFile, request: Request) -> Response:
    tag = f'"{file.sha256}"'
    headers = {
        **SAFE_HEADERS,
        "Content-Type": f"{file.mime}; charset=utf-8" if file.mime.startswith("text/") else file.mime,
        "Content-Disposition": disposition(file),
        "Cache-Control": f"private, max-age={_CACHED_S}",
        "Accept-Ranges": "bytes",
        "ETag": tag,
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", tag) != tag:
        wanted = ""
    try:
        part = asked_part(wanted, file.size)
    except ValueError:
        return Response(status_code=416, headers={**SAFE_HEADERS, "Content-Range": f"bytes */{file.size}"})
    start, length = part or (0, file.size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{file.size}"
    headers["Content-Length"] = str(length)
    status = 206 if part else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return Response(await library.bytes_of(file, start=start, length=length), status_code=status, headers=headers)


def asked_part(header: str, size: int) -> tuple[int, int] | None:
    """Start and length of the one range asked for; None when everything is to be sent (RFC 9110, section 14.2).

    Raises: ValueError when it lies outside the file.
    """
    match = _RANGE.fullmatch(header)
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        if length == 0:
            raise ValueError("an empty range")
        return size - length, length
    start, end = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and end < start:
        return None  # not a range at all, says the RFC
    if start >= size:
        raise ValueError("beyond the end")
    return start, min(end, size - 1) - start + 1


def disposition(file: StoredFile) -> str:
    """Only pictures and recordings are shown in place; the rest is offered for saving. RFC 6266."""
    how = "inline" if file.kind in _SHOWN else "attachment"
    return f"{how}; filename*=UTF-8''{quote(file.file_name, safe='')}" if file.file_name else how


def _refusal(status: int, message: str) -> Response:
    return PlainTextResponse(message, status, headers={**SAFE_HEADERS, "Cache-Control": "no-store"})
