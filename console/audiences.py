"""Whom broadcasts are for and what is given with them: lists of people, pools of coupons, the register of consents."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError
from bot.reach.content_reading import LANGUAGES
from config.text_files import UTF_8
from console.broadcasts import BASE, BroadcastScreens, around
from console.frame import Frame, Visit, screen, toast
from console.words import LANGUAGES as SPOKEN
from desk.audiences import Upload

MOST_BYTES: Final = 20_000_000
_CHUNK: Final = 65_536
_SUFFIXES: Final = (".csv", ".xlsx")
_ERRORS: Final = 200  # lines of a file that are shown


def audiences_routes(frame: Frame, services: BroadcastScreens) -> list[BaseRoute]:
    desk = AudiencesScreen(services)

    def route(
        path: str,
        work: Callable[[Visit], Awaitable[Response]],
        permission: str,
        *,
        post: bool = False,
        files: bool = False,
    ) -> Route:
        shown = screen(frame, work, permission, files=files)
        return Route(f"{BASE}{path}", shown, methods=["POST"] if post else ["GET"])

    read, write = "broadcasts.read", "broadcasts.write"
    return [
        route("/lists", desk.lists, read),
        route("/lists/snapshot", desk.snapshot, write, post=True),
        route("/lists/upload", desk.upload, write, post=True, files=True),
        route("/coupons", desk.coupons, read),
        route("/coupons/new", desk.create_pool, write, post=True),
        route("/coupons/codes", desk.add_codes, write, post=True),
        route("/coupons/redeem", desk.redeem, write, post=True),
        route("/consents", desk.consents, read),
    ]


class AudiencesScreen:
    """One method for each route."""

    def __init__(self, services: BroadcastScreens) -> None:
        self._do = services

    # --- lists --------------------------------------------------------------------------------------------------

    async def lists(self, visit: Visit) -> Response:
        return await self._lists(visit)

    async def snapshot(self, visit: Visit) -> Response:
        """Everybody a segment means now is on a new list."""
        kind: Any = "exclusion" if visit.text("exclusion") else "snapshot"
        made = await self._do.audiences.snapshot(
            visit.actor, visit.text("name").strip(), segment=visit.text("segment"), kind=kind
        )
        return visit.go(f"{BASE}/lists?made={made.name}")

    async def upload(self, visit: Visit) -> Response:
        """The people whom the lines of a file name are on a new list; the other lines are shown."""
        given = visit.form.get("file")
        if not isinstance(given, UploadFile) or not given.filename:
            raise InputError(visit.t("aud.no_file"))
        suffix = Path(given.filename).suffix.lower()
        kind: Any = "exclusion" if visit.text("exclusion") else "upload"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"list{suffix if suffix in _SUFFIXES else '.csv'}"
            await _kept(given, file, visit)
            done = await self._do.audiences.upload(
                visit.actor, visit.text("name").strip(), file, kind=kind, shown_as=given.filename[:200]
            )
        await given.close()
        if visit.is_part:
            return visit.go(f"{BASE}/lists?made={done.list.name}")
        return await self._lists(visit, done)

    async def _lists(self, visit: Visit, done: Upload | None = None) -> Response:
        found = await self._do.audiences.page(visit.actor, cursor="" if done else visit.text("cursor"))
        segments = await self._do.segments.page(visit.actor, limit=200)
        made = done.list.name if done else visit.text("made")
        errors = done.errors if done else ()
        if made and not done:
            errors = await self._do.audiences.errors(visit.actor, made)
        names: dict[str, Any] = {
            "rows": found.items,
            "next": found.next,
            "segments": segments.items,
            "made": next((row for row in found.items if row.name == made), None),
            "errors": errors[:_ERRORS],
            "read_as": done.encoding if done and done.encoding != UTF_8 else "",
        }
        return visit.page(
            "broadcasts", "broadcasts/lists.html", title=visit.t("bc.lists"), **around(visit, "lists"), **names
        )

    # --- coupons ------------------------------------------------------------------------------------------------

    async def coupons(self, visit: Visit) -> Response:
        done = visit.text("done")
        said = ""
        if done == "created":
            said = visit.t("cp.created")
        elif done == "added":
            said = visit.t("cp.added", new=visit.number("new") or 0, known=visit.number("known") or 0)
        return await self._pools(visit, said)

    async def create_pool(self, visit: Visit) -> Response:
        terms = {language: visit.text(f"terms.{language}") for language in LANGUAGES}
        until = visit.text("until")
        await self._do.coupons.create(
            visit.actor, visit.text("name").strip(), title=visit.text("title"), terms=terms,
            valid_until=_moment(until, visit) if until else None,
        )  # fmt: skip
        return visit.go(f"{BASE}/coupons?done=created")

    async def add_codes(self, visit: Visit) -> Response:
        added = await self._do.coupons.add(visit.actor, visit.text("pool"), visit.text("codes"))
        return visit.go(f"{BASE}/coupons?done=added&new={added.new}&known={added.known}")

    async def redeem(self, visit: Visit) -> Response:
        words = visit.t("cp.redeemed.done", pool=await self._do.coupons.redeem(visit.actor, visit.text("code").strip()))
        return visit.parts(toast(words)) if visit.is_part else await self._pools(visit, words)

    async def _pools(self, visit: Visit, said: str) -> Response:
        names: dict[str, Any] = {
            "pools": await self._do.coupons.pools(visit.actor),
            "said": said,
            "languages": [(each, SPOKEN[each]) for each in LANGUAGES],
        }
        return visit.page(
            "broadcasts", "broadcasts/coupons.html", title=visit.t("bc.coupons"), **around(visit, "coupons"), **names
        )

    # --- consents -----------------------------------------------------------------------------------------------

    async def consents(self, visit: Visit) -> Response:
        """What people agreed to, the newest word first, with what shows it."""
        purpose, channel = visit.text("purpose"), visit.text("channel")
        cursor = visit.text("cursor")
        page = await self._do.consents.page(visit.actor, purpose=purpose, channel=channel, cursor=cursor)
        rules, language = self._do.rules().broadcasts, visit.look.language
        names: dict[str, Any] = {
            "rows": page.items,
            "next": page.next,
            "summary": await self._do.consents.summary(visit.actor),
            "purposes": [(name, purpose.title(language)) for name, purpose in rules.purposes.items()],
            "purpose_name": lambda name: (
                visit.t("cs.everything") if name == "*" else rules.purpose(name).title(language)
            ),
            "channels": self._do.channels(),
            "purpose": purpose,
            "chosen": channel,
        }
        return visit.page(
            "broadcasts", "broadcasts/consents.html", title=visit.t("bc.consents"), **around(visit, "consents"), **names
        )


async def _kept(given: UploadFile, file: Path, visit: Visit) -> None:
    """The upload is in the file. Raises: InputError for one that is too large."""
    size = 0
    with file.open("wb") as kept:
        while chunk := await given.read(_CHUNK):
            size += len(chunk)
            if size > MOST_BYTES:
                raise InputError(visit.t("aud.too_large"))
            kept.write(chunk)


def _moment(text: str, visit: Visit) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=visit.look.zone)
    except ValueError as exc:
        raise InputError(f"{text!r} is no day and time") from exc
