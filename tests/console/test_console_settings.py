"""Settings and one's own page: what is shown to whom, what is changed, and secrets that are shown once."""

from __future__ import annotations

import re
from datetime import timedelta

import pyotp
import pytest

from bot.types import Received
from console.settings import PAGES
from desk.permissions import ROLES
from tests.console.console_under_test import Browser, ConsoleUnderTest
from tests.staff import PASSWORD

NEW = "another good password"


@pytest.mark.parametrize("role", sorted(ROLES))
async def test_each_page_is_shown_to_exactly_those_who_may(console: ConsoleUnderTest, role: str) -> None:
    who = await console.enter("who", role)
    for name, permission in PAGES.items():
        answer = await who.page(f"/console/settings/{name}")
        assert answer.status_code == (200 if permission in ROLES[role] else 403), name


async def test_somebody_new_signs_in_with_a_password_of_their_own(console: ConsoleUnderTest) -> None:
    admin = await console.enter("boss", "admin")
    made = await admin.post("/console/settings/people", name="wu", role="operator", display_name="Wu Lan")
    password = _secret(made.text)
    wu = Browser(console.browser())
    first = await wu.http.post("/console/sign-in", data={"step": "password", "name": "wu", "password": password})
    assert 'name="new_password"' in first.text
    assert (await wu.page("/console/inbox")).status_code == 303, "nothing is shown before it is changed"
    fields = {"step": "new_password", "password": password, "new_password": NEW, "csrf": _csrf(first.text)}
    assert (await wu.http.post("/console/sign-in", data=fields)).status_code == 303
    assert (await wu.page("/console/inbox")).status_code == 200
    assert password not in (await admin.page("/console/settings/people")).text


async def test_a_second_factor_is_set_up_and_asked_for(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    shown = await li.post("/console/me/second-factor")
    secret = re.findall(r'class="meta code">([A-Z2-7]+)<', shown.text)[0]
    code = pyotp.TOTP(secret).at(console.clock.now())
    done = await li.post("/console/me/second-factor/confirm", code=code)
    assert len(re.findall(r"[a-z0-9]{4,}-[a-z0-9]{4,}", done.text, re.I)) >= 10
    other = console.browser()
    asked = await other.post("/console/sign-in", data={"step": "password", "name": "li", "password": PASSWORD})
    assert 'name="code"' in asked.text
    console.clock.advance(seconds=60)
    fields = {"step": "second_factor", "csrf": _csrf(asked.text)}
    wrong = await other.post("/console/sign-in", data={**fields, "code": "000000"})
    assert wrong.status_code == 401
    right = pyotp.TOTP(secret).at(console.clock.now())
    fields["csrf"] = _csrf(wrong.text)
    assert (await other.post("/console/sign-in", data={**fields, "code": right})).status_code == 303


async def test_an_idle_console_is_locked_until_the_password_comes(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    await li.page("/console/inbox")
    console.clock.at += timedelta(minutes=30)
    assert (await li.page("/console/inbox")).status_code == 303
    locked = await li.http.get("/console/sign-in")
    assert 'value="unlock"' in locked.text
    fields = {"step": "unlock", "password": PASSWORD, "csrf": _csrf(locked.text)}
    assert (await li.http.post("/console/sign-in", data=fields)).status_code == 303
    assert (await li.page("/console/inbox")).status_code == 200


async def test_rules_that_make_no_sense_are_refused_with_the_line_and_kept_in_the_field(
    console: ConsoleUnderTest,
) -> None:
    max_ = await console.enter("max", "manager")
    wrong = await max_.post("/console/settings/rules", text="promises: [1, 2", version=0, note="")
    assert "line" in wrong.text
    assert "promises: [1, 2" in wrong.text
    page = await max_.page("/console/settings/rules")
    assert "promises: [1" not in page.text


async def test_rules_somebody_else_changed_meanwhile_are_not_overwritten(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    assert (await max_.post("/console/settings/rules", text="handoff: {}", version=0, note="a")).status_code == 303
    assert (await max_.post("/console/settings/rules", text="handoff: {}", version=0, note="b")).status_code == 409


async def test_a_token_is_shown_once_and_revoked(console: ConsoleUnderTest) -> None:
    admin = await console.enter("boss", "admin")
    made = await admin.post("/console/settings/tokens", name="erp", role="viewer", per_minute=60)
    token = _secret(made.text)
    assert token.startswith("fdk_")
    page = await admin.page("/console/settings/tokens")
    assert token not in page.text
    token_id = re.findall(r'name="id" value="(\d+)"', page.text)[0]
    await admin.post("/console/settings/tokens/revoke", id=token_id)
    assert "revoked" in (await admin.page("/console/settings/tokens")).text


async def test_the_audit_log_is_read_and_found_whole(console: ConsoleUnderTest) -> None:
    hu = await console.enter("hu", "auditor")
    assert "session.start" in (await hu.page("/console/settings/audit")).text
    assert "are as they were written" in (await hu.post("/console/settings/audit/verify")).text


async def test_what_is_broken_at_a_channel_is_shown_with_its_repair(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    page = await max_.page("/console/settings/channels")
    assert "the vendor refuses it" in page.text
    assert "set a new TOKEN" in page.text


async def test_what_a_vendor_signed_and_nobody_could_read_is_listed(console: ConsoleUnderTest) -> None:
    max_ = await console.enter("max", "manager")
    assert "Everything that came in could be read." in (await max_.page("/console/settings/channels")).text

    odd = Received("wechat", "main", "1", b"<xml>", None, "not XML <script>")
    (accepted,) = await console.store.accept([odd])

    page = (await max_.page("/console/settings/channels")).text
    assert f">{accepted.inbox_id}</td><td>wechat/main</td>" in page
    assert "not XML &lt;script&gt;" in page


async def test_a_canned_reply_with_an_unknown_variable_is_refused(console: ConsoleUnderTest) -> None:
    lead = await console.enter("lena", "lead")
    assert (await lead.post("/console/settings/canned", shortcut="hi", en="Hello {nme}", zh="")).status_code == 422
    assert (await lead.post("/console/settings/canned", shortcut="hi", en="Hello {name}", zh="")).status_code == 303
    assert "Hello {name}" in (await lead.page("/console/settings/canned")).text


async def test_a_subscriber_with_a_number_no_row_can_have_is_not_there(console: ConsoleUnderTest) -> None:
    admin = await console.enter("boss", "admin")
    assert (await admin.page(f"/console/settings/hooks/{2**63}")).status_code == 404
    assert (await admin.post(f"/console/settings/hooks/{2**80}/ping")).status_code == 404


async def test_settings_of_the_console_are_ones_own(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    await li.post("/console/me/settings", language="zh", theme="dark", density="compact", lock_minutes=5)
    page = await li.page("/console/me")
    assert 'data-theme="dark"' in page.text
    assert 'lang="zh-CN"' in page.text
    assert (await li.post("/console/me/settings", language="fr", theme="dark", density="compact")).status_code == 422


def _secret(html: str) -> str:
    return re.findall(r'<code id="secret">([^<]+)</code>', html)[0]


def _csrf(html: str) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', html)[0]
