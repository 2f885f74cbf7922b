"""Is this account in working order? For `frontdesk doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bot.errors import Misconfigured, NotFound, ServiceError
from channels.base import Finding
from channels.wecom.connection import WecomConnection

if TYPE_CHECKING:
    from channels.wecom.kf import KfAdapter

MOST_SKEW = timedelta(seconds=60)  # callbacks are refused beyond 10 minutes; a clock that drifts gets there


async def examine_application(connection: WecomConnection, public_url: str) -> Sequence[Finding]:
    """Credentials, clock, application and callback address."""
    check = f"wecom/{connection.account}"
    findings = await _credentials(connection, check)
    if not findings[0].is_broken:
        findings.append(await _application(connection, check))
    return [*findings, callback_address(f"{check} callback", public_url, connection.account)]


async def examine_kf(adapter: KfAdapter, public_url: str) -> Sequence[Finding]:
    """Which 微信客服 accounts we may manage, and how far each was read."""
    connection, check = adapter.connection, f"kf/{adapter.account}"
    findings: list[Finding] = []
    if connection.settings.agent_id is None:  # otherwise the application's findings say it
        findings = await _credentials(connection, check)
        findings.append(callback_address(f"{check} callback", public_url, connection.account))
        if findings[0].is_broken:
            return findings
    try:
        accounts = await adapter.accounts()
    except (ServiceError, NotFound) as error:
        repair = "" if isinstance(error, Misconfigured) else "try again; WeCom did not answer"
        return [*findings, Finding(f"{check} accounts", True, str(error), repair or "grant it in WeCom's console")]
    if not accounts:
        repair = "in WeCom's console, 微信客服-通过API管理微信客服账号: give this application an account"
        return [*findings, Finding(f"{check} accounts", True, "no account to manage", repair)]
    findings.append(Finding(f"{check} accounts", False, f"{len(accounts)} to manage"))
    for open_kfid in accounts:
        findings.append(await _position(adapter, open_kfid, f"{check} {open_kfid}"))
    return findings


async def _position(adapter: KfAdapter, open_kfid: str, check: str) -> Finding:
    if adapter.cursors is None:
        return Finding(check, False, "how far it was read is not known without the store")
    value = await adapter.cursors.get_cursor(adapter.cursor_name(open_kfid))
    _, _, at = value.partition("@")
    if not at.isdecimal():
        return Finding(check, False, "never read yet; frontdesk run reads it")
    age_s = int(adapter.connection.now().timestamp()) - int(at)
    return Finding(check, False, f"newest messages read {age_s} s ago")


async def _credentials(connection: WecomConnection, check: str) -> list[Finding]:
    try:
        answer = await connection.ask_token()
    except (ServiceError, NotFound) as error:
        repair = "check CORP_ID and SECRET" if isinstance(error, Misconfigured) else "is WeCom reachable from here?"
        return [Finding(f"{check} credentials", True, str(error), repair)]
    lives_s = answer.fields.get("expires_in")
    findings = [Finding(f"{check} credentials", False, f"accepted; the access token is good for {lives_s} s more")]
    if answer.served_at is not None:
        findings.append(_clock(check, connection.now(), answer.served_at))
    return findings


def _clock(check: str, ours: datetime, theirs: datetime) -> Finding:
    skew = abs(ours - theirs)
    finding = f"{skew.total_seconds():.0f} s apart from WeCom's"
    return Finding(f"{check} clock", skew > MOST_SKEW, finding, "set this machine's clock" if skew > MOST_SKEW else "")


async def _application(connection: WecomConnection, check: str) -> Finding:
    try:
        answer = await connection.get("agent/get", {"agentid": str(connection.settings.agent_id)})
    except (ServiceError, NotFound) as error:
        return Finding(f"{check} application", True, str(error), "check AGENT_ID and the application's 企业可信IP")
    if answer.fields.get("close"):
        return Finding(f"{check} application", True, "switched off", "switch it on in WeCom's console")
    return Finding(f"{check} application", False, "is on")


def callback_address(check: str, public_url: str, account: str) -> Finding:
    """WeCom has no call that tells where it sends callbacks: the address to type in is all that can be said."""
    if not public_url:
        return Finding(check, True, "nobody can reach us", "set FRONTDESK_PUBLIC_URL, then enter it in WeCom's console")
    return Finding(check, False, f"WeCom's console must name {public_url.rstrip('/')}/channels/wecom/{account}")
