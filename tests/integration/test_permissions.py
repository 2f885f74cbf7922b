"""Every role on every method: what the table in desk.actions says is what the services do."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.errors import BotError, NotPermitted
from crm_sync.store import SqlStore
from desk.actions import NEEDS, may_do
from desk.actors import Actor
from desk.permissions import PERMISSIONS, ROLES
from tests.desk_methods import call, found
from tests.staff_steps import staff
from tests.store_steps import AUDIT_KEYS

# Roles of the business's own: one that manages viewers and reads the log, one that looks over everybody's shoulder.
MANAGES = ROLES["viewer"] | {"users.read", "users.write", "audit.read"}
WATCHES = frozenset({"conversations.read_all", "cases.read", "reports.read"})
ACTORS = [
    *(Actor("li", role) for role in ROLES),
    Actor("li", "manages", granted=MANAGES),
    Actor("li", "watches", granted=WATCHES),
    Actor("li", "empty", granted=frozenset()),
    Actor("li", "gone"),  # a role that no longer exists
]
METHODS = {name: (kind, function) for name, kind, function in found()}


def test_the_table_names_every_method_that_acts_for_somebody_and_no_other() -> None:
    assert sorted(METHODS) == sorted(NEEDS)


def test_the_table_knows_permissions_only_and_each_permission_of_it_is_somebodys() -> None:
    named = {one for needed in NEEDS.values() for each in needed for one in each.split("|")}
    assert named <= PERMISSIONS.keys()
    assert set().union(*ROLES.values()) == PERMISSIONS.keys()


@pytest.fixture
async def empty_store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    """Nothing but an account. SQLite only: what a role may is decided before any database is asked."""
    store = await SqlStore.open(sqlite_url, audit_keys=AUDIT_KEYS)
    await staff(store, ACTORS[0])
    yield store
    await store.close()


@pytest.mark.parametrize("action", sorted(METHODS.keys() & NEEDS.keys()))
async def test_each_role_may_do_what_the_table_says(empty_store: SqlStore, action: str) -> None:
    kind, function = METHODS[action]
    wrong = []
    for actor in ACTORS:
        is_refused = False
        try:
            await call(action, kind, function, empty_store.database, actor)
        except NotPermitted:
            is_refused = True
        except BotError:  # it was let in, and there is no such thing in an empty store
            is_refused = False
        if is_refused == may_do(actor, action):
            wrong.append((actor.role, "refused" if is_refused else "let in"))
    assert wrong == []
