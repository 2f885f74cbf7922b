"""`GET, POST /site/{token}`: a site works on its task with a link alone, which is verified before anything is read.

Nobody else's browser can be made to send the form: the token is in the address, and no cookie says who somebody is. A
form names the version of the task its page showed, so that one that is late, or comes twice, changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, get_args
from urllib.parse import parse_qs

import structlog
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.assistant import Assistant
from bot.errors import RuleError, SignatureInvalid, StaleState
from bot.ports import Clock
from bot.service.policy import Account, ServicePolicy
from bot.types import Language
from channels.webhook import read_body
from crm_sync.database import Database
from crm_sync.media.links import LinkExpired
from crm_sync.site_links import SiteLinks, SiteToken
from crm_sync.site_tasks import LinkSuperseded, SiteAction, SiteForm, one_line
from desk import site_work
from frontdesk.site_pages import MAX_NAME, MAX_WORDS, Page, refusal_page, task_page
from frontdesk.site_words import HEADERS

log = structlog.get_logger()

MAX_BODY: Final = 32_000  # bytes: the longest text, each character as nine
_STATUS: Final = {"forged": 403, "expired": 410, "superseded": 410, "too_large": 413}


@dataclass(frozen=True, slots=True)
class SiteDesk:
    """What the routes work with: the desk's rules, which assistant answers on an account, a file's address."""

    database: Database
    links: SiteLinks
    clock: Clock
    policy: Callable[[], ServicePolicy]
    assistant: Callable[[Account], Assistant]
    file_link: Callable[[str], str]


def site_routes(desk: SiteDesk) -> list[BaseRoute]:
    return [Route("/site/{token}", _site(desk), methods=["GET", "POST"])]


def _site(desk: SiteDesk) -> Callable[[Request], Awaitable[Response]]:
    async def site(request: Request) -> Response:
        language = language_of(request)
        try:
            token = desk.links.verify(request.path_params["token"], desk.clock.now())
            if request.method == "POST":
                return await _take_form(desk, request, token, language)
            return await _shown(desk, token, language)
        except SignatureInvalid:
            return _refusal("forged", language)
        except LinkExpired:
            return _refusal("expired", language)
        except LinkSuperseded:
            return _refusal("superseded", language)

    return site


async def _take_form(desk: SiteDesk, request: Request, token: SiteToken, language: Language) -> Response:
    body = await read_body(request, MAX_BODY)
    if body is None:
        return _refusal("too_large", language)
    form = read_form(body, token)
    if isinstance(form, str):
        return await _shown(desk, token, language, notice=form, tone="bad", status=422)
    try:
        is_new = await site_work.act(desk.database, form, desk.policy(), desk.clock.now())
    except StaleState:
        return await _shown(desk, token, language, notice="stale", tone="warn", status=409)
    except LinkSuperseded:
        raise
    except RuleError:
        return await _shown(desk, token, language, notice="over", tone="warn", status=409)
    log.info("site_acted", task_id=form.task_id, action=form.action, is_new=is_new)
    # Loading the page again must not send the form again.
    return RedirectResponse(f"{request.url.path}?lang={language}", 303, headers=HEADERS)


def read_form(body: bytes, token: SiteToken) -> SiteForm | str:
    """The form of a body, or the word that says what is wrong with it."""
    try:
        found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    except ValueError:  # more fields than any form of ours has
        return "need_words"
    fields = {name: values[-1] for name, values in found.items()}
    actions: dict[str, SiteAction] = {action: action for action in get_args(SiteAction)}
    action = actions.get(fields.get("action", ""))
    version = fields.get("version", "")
    if action is None or not (version.isascii() and version.isdecimal() and len(version) < 10):
        return "need_words"
    words, most = one_line(fields.get("words", "").replace("\0", "")), MAX_NAME if action == "accept" else MAX_WORDS
    if not 1 <= len(words) <= most:
        return "need_name" if action == "accept" else "need_words"
    codes = {name: fields.get(name, "")[:MAX_NAME] for name in ("cause", "remedy") if action == "close"}
    return SiteForm(token.task_id, token.serial, int(version), action, words, **codes)


async def _shown(
    desk: SiteDesk, token: SiteToken, language: Language, *, notice: str = "", tone: str = "", status: int = 200
) -> Response:
    view = await site_work.look(desk.database, token.task_id, token.serial)
    page = Page(language, desk.assistant(view.account), desk.clock.now(), desk.file_link, notice, tone)
    return HTMLResponse(task_page(view, page), status, headers=HEADERS)


def language_of(request: Request) -> Language:
    """Asked for in the address, else what the browser prefers, else Chinese."""
    asked = request.query_params.get("lang", "")
    if asked in ("zh", "en"):
        return "en" if asked == "en" else "zh"
    for part in request.headers.get("accept-language", "").lower().split(","):
        if part.strip().startswith("zh"):
            return "zh"
        if part.strip().startswith("en"):
            return "en"
    return "zh"


def _refusal(reason: str, language: Language) -> Response:
    return HTMLResponse(refusal_page(reason, language), _STATUS[reason], headers=HEADERS)
