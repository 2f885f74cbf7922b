"""One's own page: how the console looks, password, second factor, open sessions."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, SignInRefused, TooManyTries
from console.frame import Frame, Visit, screen
from console.sign_in import remember
from desk.own_account import OwnAccount, OwnSettings
from desk.sessions import SignedIn


def me_routes(frame: Frame, own: OwnAccount) -> list[BaseRoute]:
    desk = MeScreen(own)
    acts = {
        "settings": desk.settings,
        "password": desk.password,
        "second-factor": desk.start,
        "second-factor/confirm": desk.confirm,
        "second-factor-off": desk.turn_off,
        "recovery": desk.recovery,
        "sessions": desk.end,
    }
    return [
        Route("/console/me", screen(frame, desk.page), methods=["GET"]),
        *(Route(f"/console/me/{path}", screen(frame, work), methods=["POST"]) for path, work in acts.items()),
    ]


class MeScreen:
    """One method for each route."""

    def __init__(self, own: OwnAccount) -> None:
        self._own = own

    async def page(self, visit: Visit, **more: Any) -> Response:
        shown = {"wrong": "", "codes": (), "enrolment": None, "picture": "", **more}
        return visit.page(
            "me",
            "me/page.html",
            title=visit.t("nav.me"),
            own=await self._own.settings(visit.token),
            sessions=await self._own.sessions(visit.token),
            **shown,
        )

    async def settings(self, visit: Visit) -> Response:
        wanted = OwnSettings(
            language=visit.text("language"),
            theme=visit.text("theme"),
            density=visit.text("density"),
            sound=visit.text("sound") == "1",
            lock_minutes=visit.number("lock_minutes") or 0,
        )
        await self._own.change_settings(visit.token, wanted)
        return visit.go("/console/me")

    async def password(self, visit: Visit) -> Response:
        return await self._renewed(
            visit, lambda: self._own.change_password(visit.token, visit.text("password"), visit.text("new_password"))
        )

    async def start(self, visit: Visit) -> Response:
        """The picture for the app stays until a code of it has come."""
        enrolment = await self._own.start_second_factor(visit.token)
        return await self.page(visit, enrolment=enrolment, picture=picture(enrolment.qr_svg))

    async def confirm(self, visit: Visit) -> Response:
        return await self._with_codes(visit, lambda: self._own.confirm_second_factor(visit.token, visit.text("code")))

    async def recovery(self, visit: Visit) -> Response:
        return await self._with_codes(visit, lambda: self._own.new_recovery_codes(visit.token, visit.text("code")))

    async def turn_off(self, visit: Visit) -> Response:
        return await self._renewed(visit, lambda: self._own.turn_second_factor_off(visit.token, visit.text("code")))

    async def end(self, visit: Visit) -> Response:
        """One session, or without a number all but this."""
        session_id = visit.number("session")
        if session_id is None:
            await self._own.end_other_sessions(visit.token)
        else:
            await self._own.end_session(visit.token, session_id)
        return visit.go("/console/me")

    async def _renewed(self, visit: Visit, work: Any) -> Response:
        try:
            signed_in: SignedIn = await work()
        except SignInRefused:
            return await self.page(visit, wrong=visit.t("me.went_wrong"))
        except TooManyTries as error:
            return await self.page(visit, wrong=visit.t("sign_in.wait", seconds=int(error.retry_after_s) + 1))
        except InputError as error:
            return await self.page(visit, wrong=visit.t("failed", reason=str(error)))
        return remember(visit.frame, visit.go("/console/me"), signed_in)

    async def _with_codes(self, visit: Visit, work: Any) -> Response:
        try:
            enrolled = await work()
        except SignInRefused:
            return await self.page(visit, wrong=visit.t("me.went_wrong"))
        except TooManyTries as error:
            return await self.page(visit, wrong=visit.t("sign_in.wait", seconds=int(error.retry_after_s) + 1))
        signed_in = enrolled.signed_in
        answer = await self.page(visit.again(signed_in), codes=enrolled.recovery_codes)
        return remember(visit.frame, answer, signed_in)


def picture(qr_svg: str) -> Markup:
    """The QR code that we drew ourselves, in the page as it is."""
    return Markup(qr_svg)  # noqa: S704 - segno's own SVG of our own address
