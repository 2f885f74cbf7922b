"""What all screens share: who looks, in which language and zone, how pages and fragments are made, what may go wrong.

A fragment is HTML made of `<template data-into="#place">` elements, which the script puts where they say. Whatever came
from outside is escaped by the templates; nothing here marks it as safe.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bot.errors import InputError, NotFound, NotPermitted, NotSignedIn, RuleError, ServiceError, StaleState
from bot.ports import Clock, Signals
from console.assets import asset
from console.icons import icon
from console.saying import clock, moment, person_name, span
from console.words import WORDS, Language, say
from desk.actors import Actor
from desk.sessions import Session, SignedIn
from desk.signing_in import SigningIn

log = structlog.get_logger(__name__)

FOLDER: Final = Path(__file__).parent
MOST_FIELDS: Final = 200
MOST_BYTES: Final = (
    300_000  # of a form without files: 20,000 characters, each up to twelve bytes in an address's encoding
)
SAFE: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
# Screen -> the permission without which it is not shown.
SCREENS: Final[Mapping[str, str]] = {
    "inbox": "conversations.read",
    "cases": "cases.read",
    "customers": "customers.read",
    "broadcasts": "broadcasts.read",
    "knowledge": "knowledge.read",
    "understanding": "understanding.read",
    "flows": "knowledge.read",
    "reports": "reports.read",
    "settings": "settings.read",
}
_ICONS: Final = {
    "inbox": "tray",
    "cases": "board",
    "customers": "person",
    "broadcasts": "horn",
    "knowledge": "book",
    "understanding": "ear",
    "flows": "branch",
    "reports": "chart",
    "settings": "gear",
}


def _environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(asset=asset, icon=icon, iso=lambda at: at.isoformat(), new_id=partial(secrets.token_urlsafe, 12))
    env.filters["query"] = lambda values: urlencode({name: value for name, value in values.items() if value})
    return env


TEMPLATES: Final = _environment()


@dataclass(frozen=True, slots=True)
class Frame:
    """What every screen needs of the process. `screens`: those that are built into this console, in their order."""

    signing_in: SigningIn
    signals: Signals
    clock: Clock
    zone: Callable[[], tzinfo]
    language: Language
    is_https: bool
    screens: tuple[str, ...] = tuple(SCREENS)

    @property
    def cookie(self) -> str:
        # The prefix makes browsers refuse a cookie that another host or an unencrypted page has set.
        return "__Host-frontdesk" if self.is_https else "frontdesk"


@dataclass(frozen=True, slots=True)
class Look:
    """How a member of staff wants the pages: everything a template needs to say words and times."""

    language: Language
    zone: tzinfo
    now: datetime
    theme: str = "auto"  # auto | light | dark
    density: str = "comfortable"  # comfortable | compact
    sound: str = "off"
    lock_minutes: int = 0

    def words(self) -> dict[str, Any]:
        """Names that templates use: t(key), span(length), moment(at) …"""
        language = self.language
        return {
            "language": language,
            "lang": "zh-CN" if language == "zh" else "en",
            "look": self,
            "now": self.now,
            "t": partial(say, language),
            "called": partial(person_name, language),
            "knows": WORDS.__contains__,
            "span": lambda length: span(length, language),
            "since": lambda at: span(self.now - at, language),
            "until": lambda at: span(at - self.now, language),
            "moment": lambda at: moment(at, self.now, self.zone, language),
            "clock": lambda at: clock(at, self.zone),
            "here": lambda at: at.astimezone(self.zone),
        }


def look_of(frame: Frame, session: Session | None, request: Request) -> Look:
    """The person's own settings; before signing in what the browser asks for."""
    settings = session.settings if session is not None else {}
    asked = request.query_params.get("lang", "") if session is None else ""
    wanted = asked or str(settings.get("language") or "") or _accepted(request, frame.language)
    minutes = settings.get("lock_minutes")
    return Look(
        language="zh" if wanted.startswith("zh") else "en",
        zone=frame.zone(),
        now=frame.clock.now(),
        theme=str(settings.get("theme") or "auto"),
        density=str(settings.get("density") or "comfortable"),
        sound="on" if settings.get("sound", True) else "off",
        lock_minutes=minutes if isinstance(minutes, int) else 0,
    )


def _accepted(request: Request, otherwise: Language) -> str:
    for part in request.headers.get("accept-language", "").lower().split(","):
        if part.strip()[:2] in ("zh", "en"):
            return part.strip()[:2]
    return otherwise


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    frame: Frame
    session: Session
    look: Look
    form: FormData = field(default_factory=FormData)
    renewed: str = field(default="", repr=False)

    @property
    def actor(self) -> Actor:
        return self.session.actor

    @property
    def token(self) -> str:
        """Of the session; services that renew it want it."""
        return self.renewed or self.request.cookies.get(self.frame.cookie, "")

    def again(self, signed_in: SignedIn) -> Visit:
        """The same visit under the token that the session has now."""
        return replace(self, session=signed_in.session, renewed=signed_in.token)

    @property
    def is_part(self) -> bool:
        return "x-part" in self.request.headers

    def t(self, key: str, **values: object) -> str:
        return say(self.look.language, key, **values)

    def text(self, name: str) -> str:
        """A field of the form or, for a GET, of the address; "" where there is none."""
        source = self.form if self.request.method == "POST" else self.request.query_params
        value = source.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int | None:
        """Raises: InputError for what is no whole number."""
        text = self.text(name).strip()
        if not text:
            return None
        if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit() or len(text) > 18:
            raise InputError(f"{name} is no whole number")
        return int(text)

    def needed(self, name: str) -> int:
        """As `number`, for what has to be there. Raises: InputError."""
        number = self.number(name)
        if number is None:
            raise InputError(f"{name} is missing")
        return number

    def path_id(self, what: str) -> int:
        """The number in the address. Raises: NotFound for one no row can have; `what` it would have been."""
        found = int(self.request.path_params["id"])
        if found >= 2**63:
            raise NotFound(f"there is no {what} {found}")
        return found

    def html(self, template: str, **values: Any) -> Markup:
        """A template's text with the words and times of this person."""
        names = {**self.look.words(), "actor": self.actor, "may": self.actor.may, "csrf": self.session.csrf}
        return Markup(TEMPLATES.get_template(template).render(names, **values))  # noqa: S704 - escaped by the templates

    def page(self, screen: str, template: str, *, title: str = "", live: str = "", **values: Any) -> Response:
        """The whole page. `live`: address of its stream."""
        rail = [
            (name, _ICONS[name], self.t(f"nav.{name}")) for name in self.frame.screens if self.actor.may(SCREENS[name])
        ]
        html = self.html(
            template,
            screen=screen,
            rail=rail,
            title=title or self.t(f"nav.{screen}"),
            live=live,
            session=self.session,
            **{"unread": 0, **values},
        )
        return HTMLResponse(html, headers=SAFE)

    def parts(self, *parts: Markup, status: int = 200) -> Response:
        return HTMLResponse(Markup("").join(parts), status, headers=SAFE)

    def undo(self, address: str, **fields: object) -> Markup:
        """A form for a toast: one press takes back what was done."""
        field = Markup('<input type="hidden" name="{}" value="{}">')
        given = {"csrf": self.session.csrf, **fields}
        return Markup('<form method="post" action="{}" data-live>{}<button class="small">{}</button></form>').format(
            address, Markup("").join(field.format(*each) for each in given.items()), self.t("undo")
        )

    def go(self, address: str) -> Response:
        """The browser goes there, whether a page or a fragment was asked for. `address` is one of ours."""
        if self.is_part:
            return self.parts(Markup('<template data-go="{}"></template>').format(address))
        return RedirectResponse(address, 303, headers=SAFE)


def part(place: str, html: Markup, how: str = "fill", *, jump: bool = False) -> Markup:
    """Puts `html` at a place: a CSS selector. `how`: fill | append | prepend | replace | remove."""
    more = Markup(" data-jump") if jump else Markup("")
    return Markup('<template data-into="{}" data-how="{}"{}>{}</template>').format(place, how, more, html)


NOTHING: Final = Markup("")


def toast(words: str, undo: Markup = NOTHING) -> Markup:
    """A line that goes away by itself. `undo`: a form that takes back what was done."""
    return Markup('<template data-toast><span role="status">{}</span>{}</template>').format(words, undo)


Work = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def screen(frame: Frame, work: Work, permission: str = "", *, files: bool = False) -> Endpoint:
    """The route of a screen: for who is signed in, with a form of this session, and with errors in plain words.

    `permission` is looked at before anything is done; services look again. `files`: the form may carry some, and then
    limits its size itself.
    """

    async def endpoint(request: Request) -> Response:
        token = request.cookies.get(frame.cookie, "")
        try:
            session = await frame.signing_in.resolve(token)
        except NotSignedIn:
            return to_sign_in(request)
        except ServiceError:
            return _plain(request, look_of(frame, None, request), "unavailable", 503)
        look, form = look_of(frame, session, request), FormData()
        try:
            if request.method == "POST":
                form = await _form(request, files=files)
                csrf = request.headers.get("x-csrf") or form.get("csrf")
                if not isinstance(csrf, str) or not frame.signing_in.csrf_fits(token, csrf):
                    raise NotPermitted("the form is not one of this session's pages")
            visit = Visit(request, frame, session, look, form)
            if permission:
                visit.actor.require(permission)
            return await work(visit)
        except StaleState as error:
            return _refuse(request, look, "stale", 409, error)
        except NotPermitted as error:
            return _refuse(request, look, "forbidden", 403, error)
        except NotFound as error:
            return _refuse(request, look, "gone", 404, error)
        except (RuleError, InputError) as error:
            return _refuse(request, look, "failed", 422, error)
        except ServiceError as error:
            return _refuse(request, look, "unavailable", 503, error)
        finally:
            await form.close()  # what was uploaded, which lies in files

    return endpoint


def to_sign_in(request: Request) -> Response:
    """Fragments are told; a page is sent to sign in and comes back afterwards."""
    if request.method != "GET" or "x-part" in request.headers:
        return Response(status_code=401, headers=SAFE)
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/console/sign-in?next={quote(wanted, safe='')}", 303, headers=SAFE)


async def _form(request: Request, *, files: bool) -> FormData:
    """Raises: InputError for one that is too large or cannot be read."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("application/x-www-form-urlencoded", "multipart/form-data", ""):
        raise InputError("the form is of a kind that is not read")
    if kind == "multipart/form-data" and not files:
        raise InputError("this form carries no files")
    if kind == "":
        return FormData()
    length = request.headers.get("content-length", "")
    if kind != "multipart/form-data" and (not length.isdigit() or int(length) > MOST_BYTES):
        raise InputError("the form is too large")
    try:
        return await request.form(max_fields=MOST_FIELDS, max_files=10)
    except (HTTPException, ValueError, RecursionError) as exc:  # what Starlette makes of a malformed body
        raise InputError("the form cannot be read") from exc


def _refuse(request: Request, look: Look, key: str, status: int, error: Exception) -> Response:
    log.info("console_refused", path=request.url.path, status=status, error=type(error).__name__)
    words = say(look.language, key, reason=str(error)) if key == "failed" else say(look.language, key)
    if "x-part" in request.headers:
        return HTMLResponse(toast(words), status, headers=SAFE)
    return _plain(request, look, key, status, words)


def _plain(request: Request, look: Look, key: str, status: int, words: str = "") -> Response:
    names = {**look.words(), "words": words or say(look.language, key)}
    return HTMLResponse(TEMPLATES.get_template("refused.html").render(names), status, headers=SAFE)


def next_morning(look: Look, *, weekday: int | None = None) -> datetime:
    """Nine o'clock of the next day, or of the next such weekday (Monday is 0), in the business's zone."""
    there = look.now.astimezone(look.zone)
    day = there.date() + timedelta(days=1)
    while weekday is not None and day.weekday() != weekday:
        day += timedelta(days=1)
    return datetime(day.year, day.month, day.day, 9, tzinfo=look.zone)
