"""Signing in and out: password, second factor, unlocking, and what a session may need before it can be used."""

from __future__ import annotations

from typing import Any, Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotSignedIn, RuleError, ServiceError, SignInRefused, TooManyTries
from console.frame import SAFE, SCREENS, TEMPLATES, Frame, Look, look_of
from console.words import say
from desk.own_account import OwnAccount
from desk.sessions import Session, SignedIn
from desk.single_sign_on import Return, SingleSignOn

MOST_BYTES: Final = 10_000
OIDC_COOKIE: Final = "frontdesk-provider"
LONGEST: Final = 1000


def sign_in_routes(frame: Frame, own: OwnAccount, single: SingleSignOn | None = None) -> list[BaseRoute]:
    door = Door(frame, own, single)
    return [
        Route("/console", door.home, methods=["GET"]),
        Route("/console/", door.home, methods=["GET"]),
        Route("/console/sign-in", door.show, methods=["GET"]),
        Route("/console/sign-in", door.enter, methods=["POST"]),
        *([Route("/console/oidc/start", door.depart, methods=["GET"])] if single is not None else ()),
        *([Route("/console/sign-in/return", door.come_back, methods=["GET"])] if single is not None else ()),
        Route("/console/sign-out", door.leave, methods=["POST"]),
        Route("/console/lock", door.lock, methods=["POST"]),
    ]


class Door:
    def __init__(self, frame: Frame, own: OwnAccount, single: SingleSignOn | None) -> None:
        self._frame, self._own, self._single = frame, own, single

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
                if step == "enrolment":
                    return await self._enrolled(request, token, fields)
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
            answer: Response = await self._page(request, signed_in.session, fields, token=signed_in.token)
        else:
            answer = RedirectResponse(_local(next_url), 303, headers=SAFE)
        return remember(self._frame, answer, signed_in)

    async def depart(self, request: Request) -> Response:
        """To the provider; what is needed on coming back is kept by the browser, sealed."""
        assert self._single is not None  # noqa: S101 - there is no route otherwise
        try:
            departure = await self._single.start()
        except ServiceError:
            return await self._page(request, None, None, ("sign_in.provider", {}), 503)
        answer = RedirectResponse(departure.url, 303, headers=SAFE)
        answer.set_cookie(
            OIDC_COOKIE, departure.sealed, max_age=600, path="/console", secure=self._frame.is_https, httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    async def come_back(self, request: Request) -> Response:
        """From the provider, who says who this is."""
        assert self._single is not None  # noqa: S101 - there is no route otherwise
        asked = request.query_params
        brought = Return(
            sealed=request.cookies.get(OIDC_COOKIE, ""),
            state=asked.get("state", ""),
            code=asked.get("code", ""),
            issuer=asked.get("iss", ""),
        )
        try:
            signed_in = await self._single.finish(brought, device=request.headers.get("user-agent", ""))
        except (SignInRefused, RuleError, InputError):
            answer: Response = await self._page(request, None, None, ("sign_in.refused", {}), 401)
        except ServiceError:
            answer = await self._page(request, None, None, ("sign_in.provider", {}), 503)
        else:
            answer = remember(self._frame, RedirectResponse("/console", 303, headers=SAFE), signed_in)
        answer.delete_cookie(OIDC_COOKIE, path="/console", secure=self._frame.is_https, httponly=True)
        return answer

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

    async def _enrolled(self, request: Request, token: str, fields: dict[str, str]) -> Response:
        """The second factor is set up; its recovery codes are shown, this once."""
        enrolled = await self._own.confirm_second_factor(token, fields.get("code", ""))
        look = look_of(self._frame, None, request)
        html = TEMPLATES.get_template("recovery.html").render(
            {**look.words(), "codes": enrolled.recovery_codes, "next": _local(fields.get("next", ""))}
        )
        return remember(self._frame, HTMLResponse(html, headers=SAFE), enrolled.signed_in)

    async def _step(self, session: Session, token: str, step: str, fields: dict[str, str]) -> SignedIn:
        door = self._frame.signing_in
        if step == "second_factor":
            return await door.second_factor(token, fields.get("code", ""))
        if step == "unlock":
            return await door.unlock(token, password=fields.get("password", ""), code=fields.get("code", ""))
        if step == "new_password":
            return await self._own.change_password(token, fields.get("password", ""), fields.get("new_password", ""))
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
        *,
        token: str = "",
    ) -> Response:
        look, fields = look_of(self._frame, None, request), fields or {}
        step = session.needs if session is not None else ""
        names: dict[str, Any] = {"qr": "", "secret": "", "codes": ()}
        if step == "enrolment":
            enrolment = await self._own.start_second_factor(token or request.cookies.get(self._frame.cookie, ""))
            names |= {"qr": Markup(enrolment.qr_svg), "secret": enrolment.secret}  # noqa: S704 - segno's own SVG
        html = TEMPLATES.get_template("sign_in.html").render(
            {**look.words(), **names},
            step=step or "password",
            csrf=session.csrf if session is not None else "",
            next=_local(fields.get("next") or request.query_params.get("next", "")),
            name=fields.get("name", "")[:LONGEST],
            words=_say(look, words),
            oidc=self._single is not None,
        )
        return HTMLResponse(html, status, headers=SAFE)

    def _home_of(self, session: Session | None) -> str:
        if session is None or session.needs:
            return "/console/sign-in"
        return f"/console/{first_screen(self._frame, session)}"


def first_screen(frame: Frame, session: Session) -> str:
    """The first screen the role opens; the person's own page where there is none."""
    return next((name for name in frame.screens if session.actor.may(SCREENS[name])), "me")


def remember(frame: Frame, answer: Response, signed_in: SignedIn) -> Response:
    """The browser keeps the token: unreadable for scripts, sent to nobody else's pages."""
    seconds = int((signed_in.session.expires_at - frame.clock.now()).total_seconds())
    answer.set_cookie(
        frame.cookie,
        signed_in.token,
        max_age=max(seconds, 1),
        path="/",
        secure=frame.is_https,
        httponly=True,
        samesite="lax",
    )
    return answer


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
