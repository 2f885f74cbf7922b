"""Whole desks in the process of the suite, which holds much more than a desk does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL

from crm_sync import schema
from crm_sync.database import sqlite_path


@pytest.fixture(scope="package", autouse=True)
def the_collector_stays_as_the_suite_set_it() -> Iterator[None]:
    """A desk that starts walks through everything in its process: half a second of each test, over things of the suite.

    `frontdesk run` as a process of its own (tests/faults, tests/scenarios/test_cli.py) does it as in a deployment.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("frontdesk.app.spare_what_stays", lambda: None)
        patch.setattr("frontdesk.runtimes.spare_what_stays", lambda: None)
        yield


@pytest.fixture(scope="package", autouse=True)
def a_new_store_is_a_copy_of_a_migrated_one(sqlite_template_file: Path) -> Iterator[None]:
    """Every desk here begins with a store of its own; migrating an empty one takes a quarter of a second longer.

    Migrations are tested in tests/integration/test_migrations.py.
    """
    migrate = schema._upgrade_sqlite

    def copy(url: URL) -> None:
        with closing(sqlite3.connect(sqlite_path(url))) as target:
            if target.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                return migrate(url)
            with closing(sqlite3.connect(sqlite_template_file)) as migrated:
                return migrated.backup(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "_upgrade_sqlite", copy)
        yield
