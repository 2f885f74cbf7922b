"""Is everything this deployment needs there, and if not, what repairs it?"""

from __future__ import annotations

from datetime import UTC, datetime

from bot.errors import BotError, ServiceError
from channels.base import Examinable, Finding
from config.settings import MailSettings, Settings
from crm_sync import channel_health
from crm_sync.channel_health import AccountState
from crm_sync.store import SqlStore
from frontdesk.assistant import load_assistant
from frontdesk.channel_health import DEAD_AFTER
from frontdesk.doctor_files import examine_files
from frontdesk.kits import build_kits
from frontdesk.mail import SmtpMailer
from frontdesk.policies import model_name
from frontdesk.runtimes import training_hash
from frontdesk.secret_key import load_secret_keys


async def examine(settings: Settings, *, repair: bool = False) -> list[Finding]:
    """One finding a check: store, secret key, Redis, assistant, NLU, files, each channel. Never raises for a finding.

    With `repair` what a channel can mend at its vendor from here is mended (a webhook set again, say).
    """
    findings = [_secret_key(settings)]
    store: SqlStore | None = None
    try:
        store = await SqlStore.open(settings.database_url.get_secret_value(), migrate=False, release_leases=False)
        findings.extend(await _store_and_model(settings, store))
    except BotError as error:
        findings.append(
            Finding("store", True, str(error), "check FRONTDESK_DATABASE_URL, then run frontdesk db upgrade")
        )
    try:
        findings.append(_assistant(settings))
        if settings.redis_url is not None:
            findings.append(await _redis(settings.redis_url.get_secret_value()))
        if "rasa" in settings.nlu.engine:
            findings.append(await _rasa(settings))
        findings.extend(await examine_files(settings.media, store))
        if settings.mail.host:
            findings.append(await _mail(settings.mail))
        findings.extend(await _channels(settings, store, repair=repair))
    finally:
        if store is not None:
            await store.close()
    return findings


def _secret_key(settings: Settings) -> Finding:
    try:
        keys = load_secret_keys(settings)
    except BotError as error:
        return Finding("secret key", True, str(error), "set FRONTDESK_SECRET_KEY to 32 random characters or more")
    return Finding("secret key", False, f"{len(keys)} in use")


async def _store_and_model(settings: Settings, store: SqlStore) -> list[Finding]:
    current = await store.is_current()
    findings = [
        Finding("store", not current, "up to date" if current else "behind", "" if current else "frontdesk db upgrade")
    ]
    if current:
        findings.append(await _model(settings, store))
        findings.extend(await _unreadable(store))
    return findings


async def _unreadable(store: SqlStore) -> list[Finding]:
    """Payloads that could not be read are nobody's fault here, but somebody should look."""
    return [
        Finding(
            f"{found.channel}/{found.account} unreadable",
            False,
            f"{found.count} payloads could not be read, the newest of {found.newest_at:%Y-%m-%d %H:%M} UTC",
            "frontdesk inbox unreadable lists them",
        )
        for found in await store.unreadable_counts()
    ]


async def _model(settings: Settings, store: SqlStore) -> Finding:
    active = await store.active_model(model_name(settings.assistant))
    if active is None:
        return Finding("nlu model", True, "none yet", "start frontdesk run once, or frontdesk nlu train")
    if active.training_hash != training_hash(settings.assistant):
        return Finding("nlu model", True, "older than its training data", "restart frontdesk run")
    return Finding("nlu model", False, active.version)


def _assistant(settings: Settings) -> Finding:
    try:
        load_assistant(settings.assistant)
    except BotError as error:
        return Finding("assistant", True, str(error), "mend the file, then frontdesk assistant check")
    return Finding("assistant", False, settings.assistant.name)


async def _redis(url: str) -> Finding:
    from redis.asyncio import Redis  # a tenth of a second of the console's first page, where there is no Redis
    from redis.exceptions import RedisError

    client = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return Finding(
            "redis", True, type(error).__name__, "start Redis or correct FRONTDESK_REDIS_URL; nothing is lost meanwhile"
        )
    finally:
        await client.aclose()
    return Finding("redis", False, "answers")


async def _mail(settings: MailSettings) -> Finding:
    try:
        await SmtpMailer(settings).check()
    except ServiceError as error:
        return Finding("mail", True, error.reason, "check FRONTDESK_MAIL__HOST, PORT, SECURITY, USERNAME and PASSWORD")
    return Finding("mail", False, f"{settings.host} takes our mail")


async def _rasa(settings: Settings) -> Finding:
    from nlu.rasa import RasaEngine

    nlu = settings.nlu
    engine = RasaEngine(nlu.rasa_url, token=nlu.rasa_token, timeout_s=max(nlu.rasa_timeout_s, 5.0))
    try:
        ready = await engine.is_ready()
    finally:
        await engine.close()
    return Finding(
        "rasa",
        not ready,
        "model loaded" if ready else "no answer",
        "" if ready else "make rasa, or set FRONTDESK_NLU__RASA_URL",
    )


async def _channels(settings: Settings, store: SqlStore | None, *, repair: bool) -> list[Finding]:
    try:
        kits = build_kits(settings, store)
    except BotError as error:
        return [Finding("channels", True, str(error), "correct the setting it names")]
    findings: list[Finding] = []
    seen = {(state.channel, state.account): state for state in await _states(store)}
    for kit in kits:
        for account, adapter in kit.adapters.items():
            if kit.channel != "cli":
                findings.append(_traffic(seen.get((kit.channel, account), AccountState(kit.channel, account))))
            if isinstance(adapter, Examinable):
                findings.extend(await adapter.examine(public_url=settings.public_url, repair=repair))
            elif kit.channel == "web":
                findings.append(Finding(f"web/{account}", False, "needs no credentials"))
            await adapter.close()
    return findings


async def _states(store: SqlStore | None) -> list[AccountState]:
    """What is known of the accounts; nothing while the store cannot say."""
    try:
        return await channel_health.states(store.database) if store is not None and await store.is_current() else []
    except BotError:
        return []


def _traffic(state: AccountState) -> Finding:
    now = datetime.now(UTC)
    received = f"last received {_ago(state.last_inbound_at, now)}"
    sent = "" if state.channel == "web" else f", last sent {_ago(state.last_outbound_at, now)}"
    check = f"{state.channel}/{state.account} traffic"
    if state.failing_since is None:
        return Finding(check, False, received + sent)
    failing = f", failing since {_ago(state.failing_since, now)}: {state.reason}"
    is_dead = now - state.failing_since >= DEAD_AFTER
    repair = "correct what it names; frontdesk outbox list shows what has not left" if is_dead else ""
    return Finding(check, is_dead, received + sent + failing, repair)


def _ago(moment: datetime | None, now: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    if moment is None:
        return "never"
    seconds = max(int((now - moment).total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"
