"""Is this Official Account in working order? For `frontdesk doctor`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bot.errors import BotError, ServiceError
from channels.base import Finding
from channels.tencent.crypto import TOLERANCE_S
from channels.wechat.api import WechatApi
from config.settings import WechatSettings

SEND = "/cgi-bin/message/custom/send"
FEW_LEFT = 0.1  # of a day's calls
MAX_SKEW_S = 60.0  # beyond it something is wrong with the clock, though callbacks are taken up to the tolerance


def callback_url(public_url: str, account: str) -> str:
    return f"{public_url.rstrip('/')}/channels/wechat/{account}"


async def examine(
    api: WechatApi, settings: WechatSettings, account: str, public_url: str, now: Callable[[], datetime]
) -> Sequence[Finding]:
    """Signature settings, credentials, clock, age of the token and calls left. What could not be asked is a finding."""
    check = f"wechat/{account}"
    findings = [_callback(check, settings, account, public_url)]
    if settings.app_secret is None:
        findings.append(Finding(f"{check} credentials", False, "no APP_SECRET: passive replies only"))
        return findings
    try:
        await api.tokens.get()
        answer = await api.call("get_api_domain_ip")
    except ServiceError as error:
        findings.append(Finding(f"{check} credentials", True, str(error), _repair(error)))
        return findings
    findings.append(Finding(f"{check} credentials", False, f"accepted for {settings.app_id}"))
    if answer.served_at is not None:
        findings.append(_clock(check, (now() - answer.served_at).total_seconds()))
    token = await api.tokens.known()
    if token is not None:
        age_min, left_min = (
            round(span.total_seconds() / 60) for span in (now() - token.fetched_at, token.expires_at - now())
        )
        findings.append(Finding(f"{check} token", False, f"{age_min} min old, {left_min} min left"))
    findings.append(await _quota(check, api, settings))
    return findings


def _callback(check: str, settings: WechatSettings, account: str, public_url: str) -> Finding:
    """What an operator types into WeChat's console, and whether ours can work."""
    name = f"{check} callback"
    token = settings.token.get_secret_value()
    if not (3 <= len(token) <= 32 and token.isascii() and token.isalnum()):
        return Finding(name, True, "TOKEN is not 3 to 32 letters and digits", "choose another in both places")
    if not public_url:
        return Finding(name, True, "WeChat has nowhere to deliver to", "set FRONTDESK_PUBLIC_URL")
    return Finding(name, False, f"{settings.encryption}, {callback_url(public_url, account)}")


def _clock(check: str, skew_s: float) -> Finding:
    is_off = abs(skew_s) > MAX_SKEW_S
    finding = f"{skew_s:+.0f} s from WeChat's" if abs(skew_s) >= 1 else "agrees with WeChat's"
    repair = f"set this machine's clock; beyond {TOLERANCE_S} s callbacks are refused" if is_off else ""
    return Finding(f"{check} clock", is_off, finding, repair)


async def _quota(check: str, api: WechatApi, settings: WechatSettings) -> Finding:
    name = f"{check} quota"
    if not settings.verified:
        return Finding(name, False, "unverified: replies travel in the customer's own request only")
    try:
        left, limit = await api.quota_left(SEND)
    except BotError as error:
        return Finding(name, False, f"could not be asked ({error})")
    is_low = left < limit * FEW_LEFT
    repair = "they start anew at midnight in Beijing; the console can clear the count a few times a month"
    return Finding(name, is_low, f"{left} of {limit} customer-service calls left today", repair if is_low else "")


def _repair(error: ServiceError) -> str:
    reason = error.reason
    if "40164" in reason or "61004" in reason:
        return "add this server's address to the IP allow-list (console: Settings and development, Basic configuration)"
    if "40243" in reason:
        return "unfreeze the AppSecret in the console"
    if any(code in reason for code in ("40013", "40125", "40001", "40002")):
        return "copy APP_ID and APP_SECRET again from the console"
    return "check network and api_base_url"
