"""Stores and services for every suite: started once per run, a fresh migrated store for each test that commits."""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings

from crm_sync.schema import upgrade
from crm_sync.store import SqlStore
from tests import services
from tests.kept_database import KeptDatabase, kept_database
from tests.statements import share_compiled_statements
from tests.store_steps import AUDIT_KEYS

# The same examples on every run, and no time limit: how fast a shared machine is says nothing about the code.
# Everyday a few, `thorough` in make test-slow; `HYPOTHESIS_PROFILE=explore` searches anew.
settings.register_profile("suite", deadline=None, derandomize=True, max_examples=15)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

share_compiled_statements()

# On a disk every commit of a store waits for it, which was a part of the suite's time that no processor could cut.
# A power cut is not among what is tested, and a process that is killed loses nothing it has written.
if (quick := services.quick_folder()) and "TMPDIR" not in os.environ:
    os.environ["TMPDIR"] = tempfile.tempdir = quick


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The everyday suite asks PostgreSQL one case of a table; the others differ in values, and run with the slow ones.

    A test whose cases have SQL of their own says so with `sql_per_case`.
    """
    for item in items:
        call = getattr(item, "callspec", None)
        if call is None or call.params.get("store_url") != "postgresql" or item.get_closest_marker("sql_per_case"):
            continue
        if any(place for name, place in call.indices.items() if name != "store_url"):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector does not walk through it again and again.

    A test that starts the whole desk in this process would otherwise have it all looked through once more.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # as `frontdesk run` does


@pytest.fixture(scope="session")
def sqlite_template_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite store."""
    path = tmp_path_factory.mktemp("store") / "template.db"
    services.apart(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template_file: Path, tmp_path: Path) -> str:
    """A fresh migrated SQLite store."""
    shutil.copy(sqlite_template_file, tmp_path / "frontdesk.db")
    return f"sqlite:///{tmp_path / 'frontdesk.db'}"


@pytest.fixture(scope="session")
def pg_server_url() -> Iterator[str]:
    """A PostgreSQL server where databases may be created."""
    # Autovacuum would work on databases that are gone in a second, and count rows for the planner.
    with services.postgres_server("shared_buffers=64MB", "autovacuum=off") as url:
        yield url


@pytest.fixture(scope="session")
def pg_template(pg_server_url: str) -> Iterator[str]:
    """Name of a migrated, empty database to copy."""
    name = f"template_{secrets.token_hex(4)}"
    services.apart(upgrade(services.create_database(pg_server_url, name)))
    yield name
    services.drop_database(pg_server_url, name)


@pytest.fixture(scope="session")
def pg_kept(pg_server_url: str, pg_template: str) -> Iterator[KeptDatabase]:
    """A migrated database for one test after the other."""
    with kept_database(pg_server_url, pg_template) as kept:
        yield kept


@pytest.fixture
def pg_url(pg_kept: KeptDatabase) -> Iterator[str]:
    """A migrated PostgreSQL database in which nobody has written."""
    yield pg_kept.url()
    pg_kept.give_back()


@pytest.fixture
def empty_pg_url(pg_server_url: str) -> Iterator[str]:
    """A PostgreSQL database without a single table."""
    name = f"empty_{secrets.token_hex(6)}"
    yield services.create_database(pg_server_url, name)
    services.drop_database(pg_server_url, name)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest) -> str:
    """A fresh migrated store: the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "pg_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SqlStore]:
    """An open store, on SQLite and on PostgreSQL."""
    opened = await SqlStore.open(store_url, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """A Redis server; what lies in it belongs to whoever runs at the moment."""
    with services.redis_server() as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture(scope="session")
def redis_binary() -> str:
    """Path of a Redis server that a test may start and stop itself."""
    try:
        return services.redis_binary()
    except services.ServiceMissing:
        if os.environ.get("TEST_REDIS_URL"):
            pytest.skip("TEST_REDIS_URL names a server that a test cannot restart, and there is no binary")
        raise
