"""Imported by the fork server: everything that a desk, a checker and a stand-in of Telegram load on their way."""

from __future__ import annotations

import gc
from importlib import import_module

for name in (
    "channels.simulators.telegram",
    "channels.telegram",
    "crm_sync.database_postgres",
    "crm_sync.database_sqlite",
    "frontdesk.app",
    "frontdesk.checking",
    "frontdesk.cli",
    "frontdesk.http",
    "frontdesk.scheduler",
    "frontdesk.serving",
    "frontdesk.simulating",
):
    import_module(name)

gc.collect()
gc.freeze()  # pages of what stays are shared with every process that is forked
