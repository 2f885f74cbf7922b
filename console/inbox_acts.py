"""Acting in the inbox: saying something, and everything the buttons of a conversation and of its messages do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.responses import Response

from bot.errors import DedupeMismatch, InputError, NotFound, RuleError
from console.frame import Frame, Visit, next_morning, part, toast
from console.inbox_desk import InboxServices, talk_names
from console.talk_view import said_one
from desk.conversations import ConversationView
from desk.handoff import Outcome

MOST_FILE_BYTES: Final = 20_000_000
ACTS: Final = (
    "take", "transfer", "return", "snooze", "wake", "close", "reopen", "retry", "drop", "edit", "take-back", "cancel",
)  # fmt: skip
BACK: Final = {"close": "reopen", "snooze": "wake"}  # what takes an act back, for whoever has the conversation


class ActingScreen:
    """One method for each form."""

    def __init__(self, frame: Frame, services: InboxServices) -> None:
        self._frame, self._do = frame, services

    # --- acting ---------------------------------------------------------------------------------------------------

    async def say(self, visit: Visit) -> Response:
        """What was written goes out, at once or at the time given. The same form twice says it once."""
        talk, desk = visit.path_id("conversation"), self._do.replies
        attached = [await self._attached(visit, talk, item) for item in visit.form.getlist("file") if _is_file(item)]
        files, content = [media_id for media_id, _ in attached], [digest for _, digest in attached]
        text, at = visit.text("text"), visit.text("at")
        if at:
            await desk.schedule(visit.actor, talk, text, _moment(at, visit), files=files, content=content)
            return await self._changed(visit, talk, visit.t("saved"))
        client_id, fence = visit.text("client_id"), visit.number("fence")
        row = await self._do.inbox.row(visit.actor, talk)
        if row.owner != "operator" and fence == row.fence and (text.strip() or files):
            fence = None  # who answers has it: taking and saying are one step for them, and the page has the old fence
            await self._do.handoff.take(visit.actor, talk, fence=row.fence)
        try:
            await desk.send(visit.actor, talk, text, client_id=client_id, files=files, content=content, fence=fence)
        except DedupeMismatch as error:
            raise RuleError(visit.t("compose.sent_other")) from error
        return await self._changed(visit, talk, "")

    async def note(self, visit: Visit) -> Response:
        await self._do.notes.add(visit.actor, visit.path_id("conversation"), visit.text("text"))
        return await self._changed(visit, visit.path_id("conversation"), visit.t("compose.kept"))

    async def test(self, visit: Visit) -> Response:
        name = await self._do.make_test(visit.actor, visit.path_id("conversation"))
        return await self._changed(visit, visit.path_id("conversation"), visit.t("talk.test_made", name=name))

    async def seen(self, visit: Visit) -> Response:
        await self._do.conversations.seen(visit.actor, visit.path_id("conversation"), visit.number("message") or 0)
        return visit.parts()

    async def typing(self, visit: Visit) -> Response:
        await self._do.conversations.present(visit.actor, visit.path_id("conversation"), "typing")
        return visit.parts()

    async def take_next(self, visit: Visit) -> Response:
        moved = await self._do.handoff.take_next(visit.actor)
        if moved is None:
            return visit.parts(toast(visit.t("toast.nobody")))
        return visit.go(f"/console/inbox/{moved.conversation_id}?list=mine")

    async def presence(self, visit: Visit) -> Response:
        await self._do.handoff.set_presence(visit.actor, visit.text("state"))
        return visit.parts(toast(visit.t("saved")))

    def act(self, name: str) -> Callable[[Visit], Awaitable[Response]]:
        """The route of a button of the conversation's head or of one of its messages."""
        work = getattr(self, f"_{name.replace('-', '_')}")

        async def acted(visit: Visit) -> Response:
            words = await work(visit, visit.path_id("conversation"))
            return await self._changed(visit, visit.path_id("conversation"), words, back=BACK.get(name, ""))

        return acted

    async def _take(self, visit: Visit, talk: int) -> str:
        await self._do.handoff.take(visit.actor, talk, fence=visit.number("fence"))
        return visit.t("toast.taken")

    async def _transfer(self, visit: Visit, talk: int) -> str:
        kind, _, name = visit.text("to").partition(":")
        if kind not in ("person", "team") or not name:
            raise InputError("nobody was chosen")
        fence, note = visit.number("fence"), visit.text("note")
        if kind == "team":
            await self._do.handoff.transfer(visit.actor, talk, team=name, note=note, fence=fence)
            titles = dict(self._do.teams(visit.look.language))
            return visit.t("toast.transferred", name=titles.get(name, name))
        if visit.actor.may("conversations.assign"):
            await self._do.handoff.assign(visit.actor, talk, name, note=note, fence=fence)
        else:
            await self._do.handoff.transfer(visit.actor, talk, operator=name, note=note, fence=fence)
        return visit.t("toast.assigned", name=name)

    async def _return(self, visit: Visit, talk: int) -> str:
        outcome: Outcome = "continue" if visit.text("outcome") == "continue" else "solved"
        flow = visit.text("flow") if outcome == "continue" else ""
        await self._do.handoff.hand_back(
            visit.actor, talk, outcome=outcome, flow=flow, summary=visit.text("summary"), fence=visit.number("fence")
        )
        return visit.t("toast.returned")

    async def _snooze(self, visit: Visit, talk: int) -> str:
        until = _until(visit)
        await self._do.conversations.snooze(visit.actor, talk, until, fence=visit.number("fence"))
        return visit.t("toast.snoozed", time=visit.look.words()["moment"](until))

    async def _wake(self, visit: Visit, talk: int) -> str:
        await self._do.conversations.wake(visit.actor, talk)
        return visit.t("toast.woken")

    async def _close(self, visit: Visit, talk: int) -> str:
        await self._do.conversations.close(visit.actor, talk, fence=visit.number("fence"))
        return visit.t("toast.closed")

    async def _reopen(self, visit: Visit, talk: int) -> str:
        await self._do.conversations.reopen(visit.actor, talk)
        return visit.t("toast.reopened")

    async def _retry(self, visit: Visit, talk: int) -> str:
        await self._do.replies.retry(visit.actor, talk, [visit.needed("outbox")])
        return visit.t("toast.retried")

    async def _drop(self, visit: Visit, talk: int) -> str:
        await self._do.replies.drop(visit.actor, talk, [visit.needed("outbox")])
        return visit.t("toast.left_in_chat" if visit.text("of") == "removal" else "toast.dropped")

    async def _edit(self, visit: Visit, talk: int) -> str:
        await self._do.replies.edit(visit.actor, talk, visit.needed("message"), visit.text("text"))
        return visit.t("saved")

    async def _take_back(self, visit: Visit, talk: int) -> str:
        await self._do.replies.take_back(visit.actor, talk, visit.needed("message"))
        return visit.t("toast.taken_back")

    async def _cancel(self, visit: Visit, talk: int) -> str:
        await self._do.replies.cancel(visit.actor, talk, visit.needed("scheduled"))
        return visit.t("done")

    async def _changed(self, visit: Visit, talk: int, words: str, *, back: str = "") -> Response:
        """What an act has changed is shown at once; other consoles, and the lists, hear of it over their streams.

        `back`: the act that undoes it, offered beside the words.
        """
        if not visit.is_part:
            return visit.go(f"/console/inbox/{talk}?{urlencode({'list': visit.text('list') or 'all'})}")
        said_words = [toast(words)] if words else []
        try:
            view = await self._do.conversations.open(visit.actor, talk, limit=1)
        except NotFound:  # passed on to a team that is not ours
            empty = Markup('<p class="empty">{}</p>').format(visit.t("talk.choose"))
            return visit.parts(part("#conversation", empty), part("#side", Markup("")), *said_words)
        names = await talk_names(visit, self._do, view)
        if back and view.row.owner != "bot":  # who waited for a person and was closed waits no more: not to be undone
            said_words = [toast(words, visit.undo(f"/console/inbox/{talk}/{back}", list=visit.text("list")))]
        return visit.parts(
            *await self._line(visit, talk, view),
            part("#head", visit.html("inbox/head.html", **names), "replace"),
            part("#composer", visit.html("inbox/composer.html", **names), "replace"),
            *said_words,
        )

    async def _line(self, visit: Visit, talk: int, view: ConversationView) -> list[Markup]:
        """The message that the form was about, as it is now."""
        message, tongue = visit.number("message"), self._do.help.translates
        found = await self._do.conversations.messages(visit.actor, talk, [message]) if message else []
        lines = [said_one(entry, view, visit.actor, visit.look, translates=tongue) for entry in found]
        return [part(f"#m-{line.id}", visit.html("inbox/entry.html", entry=line), "replace") for line in lines]

    async def _attached(self, visit: Visit, talk: int, file: UploadFile) -> tuple[str, str]:
        """Its media id, and the digest of what is kept of it, which stays the same when it is uploaded again."""
        content = await file.read(MOST_FILE_BYTES + 1)
        if len(content) > MOST_FILE_BYTES:
            raise InputError(visit.t("too_large"))
        stored = await self._do.replies.attach(visit.actor, talk, content, file.filename or "")
        return stored.media_id, stored.sha256


def _is_file(item: Any) -> TypeGuard[UploadFile]:
    return isinstance(item, UploadFile) and bool(item.filename)


def _moment(text: str, visit: Visit) -> datetime:
    """A time as the browser's field gives it, in the business's zone. Raises: InputError."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=visit.look.zone)
    except ValueError as exc:
        raise InputError("this is no time") from exc


def _until(visit: Visit) -> datetime:
    wanted = visit.text("until")
    if wanted == "hour":
        return visit.look.now + timedelta(hours=1)
    if wanted == "tomorrow":
        return next_morning(visit.look)
    if wanted == "monday":
        return next_morning(visit.look, weekday=0)
    return _moment(wanted, visit)
