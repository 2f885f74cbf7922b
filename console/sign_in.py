"""Signing in and out: password, second factor, unlocking, and what a session may need before it can be used."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotSignedIn, RuleError, ServiceError, SignInRefused, TooManyTries
from console.frame import SAFE, SCREENS, TEMPLATES, Frame, Look, look_of
from console.words import say
from desk.sessions import Session, SignedIn

MOST_BYTES: Final = 10_000
LONGEST: Final = 1000


def sign_in_routes(frame: Frame) -> list[BaseRoute]:
    door = Door(frame)
    return [
        Route("/console", door.home, methods=["GET"]),
        Route("/console/sign-in", door.show, methods=["GET"]),
        Route("/console/sign-in", door.enter, methods=["POST"]),
        Route("/console/sign-out", door.leave, methods=["POST"]),
        Route("/console/lock", door.lock, methods=["POST"]),
    ]


class Door:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    async def home(self, request: Request) -> Response:
        return RedirectResponse(self._home_of(await self._session(request)), 303, headers=SAFE)

    async def show(self, request: Request) -> Response:
        session = await self._session(request)
        if session is not None and not session.needs:
            return RedirectResponse(_local(request.query_params.get("next", "")), 303, headers=SAFE)
        return await self._page(request, session)

    async def enter(self, request: Request) -> Response:
        """One step; the browser gets a cookie with the new token, and the next step or the page it came for."""
        fields = await _fields(request)
        token, step = request.cookies.get(self._frame.cookie, ""), fields.get("step", "password")
        session = await self._session(request)
        try:
            if step == "password" or session is None:
                _same_site(request)
                address = request.client.host if request.client else ""
                device = request.headers.get("user-agent", "")
                signed_in = await self._frame.signing_in.sign_in(
                    fields.get("name", "").strip(), fields.get("password", ""), address=address, device=device
                )
            else:
                if not self._frame.signing_in.csrf_fits(token, fields.get("csrf", "")):
                    raise NotSignedIn
                signed_in = await self._step(session, token, step, fields)
        except TooManyTries as error:
            words = ("sign_in.wait", {"seconds": int(error.retry_after_s) + 1})
            return await self._page(request, session, fields, words, 429)
        except SignInRefused:
            wrong = "sign_in.wrong" if step in ("password", "unlock", "new_password") else "sign_in.wrong_code"
            return await self._page(request, session, fields, (wrong, {}), 401)
        except NotSignedIn:
            return await self._page(request, None, fields, ("signed_out", {}), 401)
        except ServiceError:
            return await self._page(request, session, fields, ("unavailable", {}), 503)
        except (InputError, RuleError) as error:
            return await self._page(request, session, fields, ("failed", {"reason": str(error)}), 422)
        next_url = fields.get("next", "")
        if signed_in.session.needs:
            answer: Response = await self._page(request, signed_in.session, fields)
        else:
            answer = RedirectResponse(_local(next_url), 303, headers=SAFE)
        return self.remember(answer, signed_in)

    async def leave(self, request: Request) -> Response:
        fields, token = await _fields(request), request.cookies.get(self._frame.cookie, "")
        csrf = request.headers.get("x-csrf") or fields.get("csrf", "")
        if self._frame.signing_in.csrf_fits(token, csrf):
            await self._frame.signing_in.sign_out(token)
        answer = RedirectResponse("/console/sign-in", 303, headers=SAFE)
        answer.delete_cookie(self._frame.cookie, path="/", secure=self._frame.is_https, httponly=True)
        return answer

    async def lock(self, request: Request) -> Response:
        token = request.cookies.get(self._frame.cookie, "")
        if not self._frame.signing_in.csrf_fits(token, request.headers.get("x-csrf", "")):
            return Response(status_code=403, headers=SAFE)
        try:
            await self._frame.signing_in.lock(token)
        except NotSignedIn:
            return Response(status_code=401, headers=SAFE)
        return Response(status_code=204, headers=SAFE)

    def remember(self, answer: Response, signed_in: SignedIn) -> Response:
        """The browser keeps the token: unreadable for scripts, sent to nobody else's pages."""
        seconds = int((signed_in.session.expires_at - self._frame.clock.now()).total_seconds())
        answer.set_cookie(
            self._frame.cookie,
            signed_in.token,
            max_age=max(seconds, 1),
            path="/",
            secure=self._frame.is_https,
            httponly=True,
            samesite="lax",
        )
        return answer

    async def _step(self, session: Session, token: str, step: str, fields: dict[str, str]) -> SignedIn:
        door = self._frame.signing_in
        if step == "second_factor":
            return await door.second_factor(token, fields.get("code", ""))
        if step == "unlock":
            return await door.unlock(token, password=fields.get("password", ""), code=fields.get("code", ""))
        raise InputError("there is no such step")

    async def _session(self, request: Request) -> Session | None:
        try:
            return await self._frame.signing_in.look(request.cookies.get(self._frame.cookie, ""))
        except (NotSignedIn, ServiceError):
            return None

    async def _page(
        self,
        request: Request,
        session: Session | None,
        fields: dict[str, str] | None = None,
        words: tuple[str, dict[str, Any]] | None = None,
        status: int = 200,
    ) -> Response:
        look, fields = look_of(self._frame, None, request), fields or {}
        step = session.needs if session is not None else ""
        names: dict[str, Any] = {"qr": "", "secret": ""}
        html = TEMPLATES.get_template("sign_in.html").render(
            {**look.words(), **names},
            step=step or "password",
            csrf=session.csrf if session is not None else "",
            next=_local(fields.get("next") or request.query_params.get("next", "")),
            name=fields.get("name", "")[:LONGEST],
            words=_say(look, words),
            oidc=False,
        )
        return HTMLResponse(html, status, headers=SAFE)

    def _home_of(self, session: Session | None) -> str:
        if session is None or session.needs:
            return "/console/sign-in"
        return f"/console/{first_screen(self._frame, session)}"


def first_screen(frame: Frame, session: Session) -> str:
    """The first screen the role opens; the person's own page where there is none."""
    return next((name for name in frame.screens if session.actor.may(SCREENS[name])), "me")


def _say(look: Look, words: tuple[str, dict[str, Any]] | None) -> str:
    return say(look.language, words[0], **words[1]) if words is not None else ""


def _local(address: str) -> str:
    """A page of ours, never another host's: one slash, no backslash, no control."""
    is_ours = address == "/console" or address.startswith(("/console/", "/console?"))
    return address if is_ours and address.isprintable() and "\\" not in address else "/console"


def _same_site(request: Request) -> None:
    """Raises: NotSignedIn when another site's page sent the form (signing somebody in as somebody else)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotSignedIn


async def _fields(request: Request) -> dict[str, str]:
    """The text fields of a small form; none of one that cannot be read."""
    length = request.headers.get("content-length", "0")
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or not length.isdigit() or int(length) > MOST_BYTES:
        return {}
    form = await request.form()
    return {name: value[:LONGEST] for name, value in form.items() if isinstance(value, str)}
