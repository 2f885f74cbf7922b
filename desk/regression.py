"""A conversation becomes a test of the assistant with one call, without anything that tells whose it was."""

from __future__ import annotations

from dataclasses import replace

import yaml
from sqlalchemy import Connection

from bot.business_time import zone
from bot.errors import InputError, NotFound
from bot.ports import Clock
from crm_sync import conversation_tests
from crm_sync.conversation_tests import StoredTest
from crm_sync.database import Database
from desk.actors import Actor
from desk.library import AssistantLibrary
from desk.placeholders import Placeholders
from desk.sight import visible
from desk.transcripts import document_of

MOST_MESSAGES = 400
_NAME = 60


class RegressionDesk:
    """Tests made from conversations, run by `frontdesk replay --stored`."""

    def __init__(self, database: Database, library: AssistantLibrary, clock: Clock) -> None:
        self._database, self._library, self._clock = database, library, clock

    async def make(
        self,
        actor: Actor,
        assistant: str,
        conversation_id: int,
        *,
        name: str = "",
        first: int | None = None,
        last: int | None = None,
    ) -> StoredTest:
        """The conversation (from message `first` to `last`) is a test. Without a name it is called by its first words.

        Raises: NotPermitted, NotFound (also where the conversation is not visible), InputError when the customer said
        nothing in it that can be repeated.
        """
        actor.require("knowledge.write")
        known = self._library.assistant(assistant)
        now = self._clock.now()

        def unit(conn: Connection) -> StoredTest:
            visible(conn, actor, conversation_id)
            rows = conversation_tests.spoken(conn, conversation_id, first, last, MOST_MESSAGES)
            spoken = [row.language for row in rows if row.language]
            hide = Placeholders(
                conversation_tests.names_of(conn, conversation_id),
                language=spoken[0] if spoken else known.language,
                personal=conversation_tests.personal_in(conn, conversation_id),
            )
            document = document_of(name.strip(), rows, known, hide, zone(known.hours.timezone))
            words = next((str(step["user"]) for step in document["steps"] if step.get("user")), "")
            if not document["steps"]:
                raise InputError("the customer said nothing here that can be repeated")
            called = name.strip()[:_NAME] or f"{words[:_NAME].strip() or 'conversation'} ({conversation_id})"
            document["name"] = called
            test = StoredTest(0, called, document, conversation_id, actor.name, now)
            return replace(test, id=conversation_tests.put_test(conn, assistant, test))

        return await self._database.run(unit)

    async def tests(self, actor: Actor, assistant: str) -> list[StoredTest]:
        """By name. Raises: NotPermitted, NotFound."""
        actor.require("knowledge.read")
        self._library.assistant(assistant)
        return await self._database.run(lambda conn: conversation_tests.stored_tests(conn, assistant), read=True)

    async def drop(self, actor: Actor, assistant: str, test_id: int) -> None:
        """Raises: NotPermitted, NotFound."""
        actor.require("knowledge.write")
        if not await self._database.run(lambda conn: conversation_tests.drop_test(conn, assistant, test_id)):
            raise NotFound("there is no such test")


def as_yaml(tests: list[StoredTest]) -> str:
    """The tests as a transcript file, to be looked at or kept in the assistant's folder."""
    document = {"conversations": [dict(test.document) for test in tests]}
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=110)
