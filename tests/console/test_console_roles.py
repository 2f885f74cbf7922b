"""Who may do what on the console's screens, as one table; every route is walked by every built-in role.

The table says it in names of roles, as one would to a colleague. It is not made of the code's own names of permissions,
so that a route with the wrong one, or a role that has come to more than was meant, is seen here.
"""

from __future__ import annotations

import pytest

from desk.permissions import ROLES
from tests.console.console_under_test import ConsoleUnderTest

ADMIN = frozenset({"admin"})
MANAGE = ADMIN | {"manager"}
LEAD = MANAGE | {"supervisor", "lead"}
WORK = LEAD | {"operator"}
LOOK = WORK | {"marketer", "analyst", "viewer"}
ALL = LOOK | {"auditor"}

# Who -> routes, one a line, of which everybody else is refused.
TABLE: dict[frozenset[str], str] = {
    ALL: """
        GET /console/settings
        GET /console/me
        POST /console/me/settings
        POST /console/me/password
        POST /console/me/second-factor
        POST /console/me/second-factor/confirm
        POST /console/me/second-factor-off
        POST /console/me/recovery
        POST /console/me/sessions
    """,
    LOOK: """
        GET /console/inbox
        GET /console/inbox/search
        POST /console/inbox/search
        GET /console/inbox/rows
        GET /console/inbox/{id:int}
        GET /console/inbox/{id:int}/older
        GET /console/inbox/{id:int}/canned
        GET /console/inbox/{id:int}/people
        GET /console/inbox/{id:int}/nearest
        POST /console/inbox/{id:int}/articles
        POST /console/inbox/{id:int}/translate
        POST /console/inbox/{id:int}/seen
        POST /console/views
        POST /console/views/remove
        GET /console/notices
        POST /console/notices/read
        POST /console/find
        GET /console/cases
        GET /console/cases/list
        GET /console/cases/week
        GET /console/cases/{number}
        POST /console/cases/{number}/watch
        POST /console/cases/{number}/unwatch
        GET /console/customers
        POST /console/customers
        GET /console/customers/{id:int}
        GET /console/knowledge
        GET /console/knowledge/unanswered
        GET /console/knowledge/article/{id:str}
        GET /console/knowledge/article/{id:str}/compare
        POST /console/knowledge/article/{id:str}/preview
        POST /console/knowledge/article/{id:str}/try
        GET /console/flows
        GET /console/flows/picture/{id:str}
        GET /console/flows/texts
        GET /console/flows/texts/{id:str}
        POST /console/flows/texts/{id:str}/check
        GET /console/flows/tests
        GET /console/flows/tests.yml
        GET /console/settings/canned
    """,
    WORK: """
        POST /console/presence
        POST /console/inbox/next
        POST /console/inbox/{id:int}/say
        POST /console/inbox/{id:int}/note
        POST /console/inbox/{id:int}/typing
        POST /console/inbox/{id:int}/take
        POST /console/inbox/{id:int}/transfer
        POST /console/inbox/{id:int}/return
        POST /console/inbox/{id:int}/snooze
        POST /console/inbox/{id:int}/wake
        POST /console/inbox/{id:int}/close
        POST /console/inbox/{id:int}/reopen
        POST /console/inbox/{id:int}/retry
        POST /console/inbox/{id:int}/drop
        POST /console/inbox/{id:int}/edit
        POST /console/inbox/{id:int}/take-back
        POST /console/inbox/{id:int}/cancel
        POST /console/understanding/{id:int}/label
        POST /console/understanding/{id:int}/unlabel
        POST /console/cases/bulk
        POST /console/cases/alerts/{id:int}/seen
        POST /console/cases/{number}/move
        POST /console/cases/{number}/offer
        POST /console/cases/{number}/reward
        POST /console/cases/{number}/site
        POST /console/cases/{number}/take
        POST /console/cases/{number}/assign
        POST /console/cases/{number}/link
        POST /console/cases/{number}/ask
        POST /console/cases/{number}/classify
        POST /console/cases/{number}/explain
        POST /console/cases/{number}/note
        POST /console/cases/{number}/progress
        POST /console/cases/{number}/reopen
        POST /console/cases/{number}/solve
        POST /console/cases/{number}/tell
        POST /console/cases/{number}/withdraw
        POST /console/customers/{id:int}/edit
        POST /console/customers/{id:int}/tag
        POST /console/customers/{id:int}/untag
        POST /console/customers/{id:int}/consent
        POST /console/customers/{id:int}/task
    """,
    WORK | {"analyst"}: """
        GET /console/understanding
        GET /console/understanding/examples.csv
        GET /console/understanding/training
    """,
    MANAGE | {"marketer", "analyst"}: """
        GET /console/broadcasts
        GET /console/broadcasts/calendar
        GET /console/broadcasts/compare
        GET /console/broadcasts/b/{name:str}
        GET /console/broadcasts/b/{name:str}/preflight
        GET /console/broadcasts/b/{name:str}/results
        GET /console/broadcasts/b/{name:str}/recipients.csv
        GET /console/broadcasts/segments
        GET /console/broadcasts/segments/{name:str}
        POST /console/broadcasts/segments/look
        GET /console/broadcasts/lists
        GET /console/broadcasts/coupons
        GET /console/broadcasts/consents
    """,
    ADMIN | {"marketer"}: """
        POST /console/broadcasts/b/{name:str}/ask
        POST /console/broadcasts/b/{name:str}/approve
        POST /console/broadcasts/b/{name:str}/start
        POST /console/broadcasts/b/{name:str}/pause
        POST /console/broadcasts/b/{name:str}/resume
        POST /console/broadcasts/b/{name:str}/cancel
        POST /console/broadcasts/b/{name:str}/test
        POST /console/broadcasts/b/{name:str}/uncertain
        GET /console/broadcasts/new
        GET /console/broadcasts/b/{name:str}/edit
        POST /console/broadcasts/try
        POST /console/broadcasts/save
        GET /console/broadcasts/segments/new
        POST /console/broadcasts/segments/save
        POST /console/broadcasts/segments/archive
        POST /console/broadcasts/lists/snapshot
        POST /console/broadcasts/lists/upload
        POST /console/broadcasts/coupons/new
        POST /console/broadcasts/coupons/codes
        POST /console/broadcasts/coupons/redeem
    """,
    WORK | {"marketer"}: """
        POST /console/inbox/{id:int}/test
        GET /console/knowledge/new
        POST /console/knowledge/new
        POST /console/knowledge/unanswered
        POST /console/knowledge/article/{id:str}/save
        POST /console/knowledge/article/{id:str}/submit
        POST /console/knowledge/article/{id:str}/restore
        POST /console/flows/tests/{id:int}/drop
    """,
    LEAD: """
        POST /console/understanding/training/start
        POST /console/understanding/training/stop
        POST /console/understanding/training/promote
        POST /console/understanding/training/rollback
        POST /console/knowledge/article/{id:str}/publish
        POST /console/knowledge/article/{id:str}/back
        POST /console/knowledge/article/{id:str}/withdraw
        POST /console/flows/texts/{id:str}/save
        POST /console/flows/texts/{id:str}/revert
        POST /console/settings/canned
        POST /console/settings/canned/remove
        POST /console/cases/{number}/decide
        POST /console/cases/{number}/plan
        GET /console/customers/proposals
        POST /console/customers/proposals/{id:int}
        POST /console/customers/{id:int}/class
        POST /console/customers/{id:int}/merge
        POST /console/customers/{id:int}/unmerge
        POST /console/customers/{id:int}/export
    """,
    LEAD | {"auditor"}: """
        GET /console/settings/people
        GET /console/settings/people/{name}
        GET /console/settings/roles
        GET /console/settings/hours
        GET /console/settings/promises
        POST /console/settings/promises/try
        GET /console/settings/rules
        POST /console/settings/rules/try
        GET /console/settings/channels
    """,
    LEAD | {"marketer", "analyst", "auditor"}: """
        GET /console/reports
        GET /console/reports/{name}
    """,
    LEAD | {"analyst"}: """
        GET /console/reports/{name}/behind
    """,
    LEAD | {"analyst", "marketer"}: """
        GET /console/reports/{name}/file.{kind}
    """,
    MANAGE: """
        POST /console/settings/hours
        POST /console/settings/hours/remove
        POST /console/settings/promises
        POST /console/settings/rules
        POST /console/customers/{id:int}/erase
    """,
    ADMIN | {"auditor"}: """
        GET /console/settings/audit
        POST /console/settings/audit/verify
    """,
    ADMIN: """
        POST /console/settings/people
        POST /console/settings/people/{name}
        POST /console/settings/people/{name}/disable
        POST /console/settings/people/{name}/enable
        POST /console/settings/people/{name}/password
        POST /console/settings/people/{name}/second-factor-off
        POST /console/settings/roles
        POST /console/settings/roles/delete
        GET /console/settings/tokens
        POST /console/settings/tokens
        POST /console/settings/tokens/revoke
        GET /console/settings/hooks
        GET /console/settings/hooks/{id:int}
        POST /console/settings/hooks
        POST /console/settings/hooks/{id:int}
        POST /console/settings/hooks/{id:int}/remove
        POST /console/settings/hooks/{id:int}/ping
        POST /console/settings/hooks/{id:int}/replay
    """,
}
# Not walked: the way in and out is for nobody in particular, and what is told over a stream has tests of its own.
ELSEWHERE = """
    GET /console
    GET /console/
    GET /console/sign-in
    POST /console/sign-in
    POST /console/sign-out
    POST /console/lock
    GET /console/live
    GET /console/static/{name}
"""
FILLED = {
    "{id:int}": "1",
    "{id:str}": "nothing",
    "{number}": "C-1-1",
    "{name}": "volume",
    "{name:str}": "spring",
    "{kind}": "csv",
}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


WHO = {route: roles for roles, routes in TABLE.items() for route in _lines(routes)}


def test_every_built_in_role_is_in_the_table() -> None:
    assert frozenset(ROLES) == ALL


async def test_the_table_has_every_route_of_the_console(console: ConsoleUnderTest) -> None:
    there = {f"{how} {route.path}" for route in console.app.routes for how in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert there == {*WHO, *_lines(ELSEWHERE)}


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_each_role_gets_where_the_table_lets_it_and_nowhere_else(console: ConsoleUnderTest, role: str) -> None:
    """Whoever is let in finds nothing (404) or is told that the form is empty (422); who is not, is refused (403)."""
    browser = await console.enter("zhou", role)
    await browser.page("/console/me")
    refused = set()
    for route in sorted(WHO, key=lambda route: "/console/me" in route):  # last: they may give the session another mark
        how, path = route.split()
        for name, value in FILLED.items():
            path = path.replace(name, value)
        answer = await (browser.http.get(path) if how == "GET" else browser.do(path))
        assert answer.status_code in (200, 303, 403, 404, 409, 422), (route, answer.status_code)
        assert "/console/sign-in" not in answer.headers.get("location", ""), route
        if answer.status_code == 403:
            refused.add(route)
    assert refused == {route for route, roles in WHO.items() if role not in roles}
