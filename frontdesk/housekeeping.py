"""What has outlived its time goes: one round of it, which the scheduler role makes once an hour."""

from __future__ import annotations

from functools import partial

import structlog

from bot.errors import ServiceError
from crm_sync.audit_chain import head_of
from crm_sync.lookup_codes import forget as forget_codes
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.operator_words import forget_sends
from crm_sync.search_indexing import SearchIndexer
from crm_sync.store import SqlStore
from desk.api_answers import ApiAnswers
from desk.hooks import prune_deliveries
from desk.sessions import prune_sign_ins
from frontdesk.clock import SystemClock

log = structlog.get_logger()


async def tidy(store: SqlStore, media: SqlMediaLibrary, *, raw_retention_days: float) -> None:
    """Old raw payloads, stored answers nobody can ask for (the API's too), sessions long over, files past their
    retention, one-time codes that are over, and what was known of uploads whose file is gone, are no longer there; nor
    are traces of erased people in the search index. Files that the media store cannot delete now are tried again next
    time. Our own log, which is outside the store, says where the audit log ends.

    Raises: StoreUnavailable.
    """
    log.info("raw_payloads_pruned", count=await store.prune_raw(days=raw_retention_days))
    await store.passive.prune()
    clock = SystemClock()
    log.info("api_answers_pruned", count=await ApiAnswers(store.database, clock).prune())
    log.info("hook_deliveries_pruned", count=await prune_deliveries(store.database, clock.now()))
    log.info("sign_ins_pruned", count=await prune_sign_ins(store.database, clock.now()))
    head = await store.database.run(head_of, read=True)
    log.info("audit_log_ends", lines=head.lines, hash=head.hash)
    try:
        log.info("files_purged", count=await media.purge())
    except ServiceError as error:
        log.warning("files_not_purged", service=error.service, error=type(error).__name__)
    log.info("lookup_codes_forgotten", count=await store.database.run(partial(forget_codes, now=clock.now())))
    log.info("operator_sends_forgotten", count=await forget_sends(store.database, SystemClock().now()))
    await SearchIndexer(store.database, SystemClock()).purge()
    log.info("uploads_forgotten", count=await store.prune_web_uploads())  # after the files, which say what is over
