"""Stores that are ready to start: migrated, with the model trained once per session, copied for each test."""

from __future__ import annotations

import asyncio
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from tests.faults.harness import basic_settings
from tests.faults.process import FRONTDESK, clean_environment

T = TypeVar("T")


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end in a loop of its own, wherever we are called from."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _prepare(database_url: str, folder: Path) -> None:
    """The store at `database_url` has its tables, its administrator and the trained model."""
    environment = clean_environment(basic_settings(database_url))
    command = [sys.executable, *FRONTDESK]
    subprocess.run([*command, "db", "upgrade"], cwd=folder, env=environment, check=True, capture_output=True)
    with (folder / "prepare.log").open("w+") as log:
        desk = subprocess.Popen(
            [*command, "run", "--port", "0"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert desk.stdout is not None
        with desk.stdout:
            started = any("Customer page" in line for line in iter(desk.stdout.readline, ""))
            desk.send_signal(signal.SIGTERM)
            desk.stdout.read()
        desk.wait(30)
        log.seek(0)
        assert started, log.read()[-3000:]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fault-template")
    _prepare(f"sqlite:///{folder}/desk.db", folder)
    return folder / "desk.db"


@pytest.fixture
def sqlite_desk_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite store with a trained model."""
    source, target = sqlite3.connect(sqlite_template), sqlite3.connect(tmp_path / "desk.db")
    source.backup(target)
    source.close()
    target.close()
    return f"sqlite:///{tmp_path}/desk.db"


def _database(server_url: str, name: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_template(pg_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    name = f"faults_{secrets.token_hex(4)}"
    _apart(_execute(pg_server_url, f'CREATE DATABASE "{name}"'))
    try:
        _prepare(_database(pg_server_url, name), tmp_path_factory.mktemp("fault-template-pg"))
        yield name
    finally:
        _apart(_execute(pg_server_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def postgres_desk_url(pg_server_url: str, postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database with a trained model."""
    name = f"{postgres_template}_{secrets.token_hex(4)}"
    _apart(_execute(pg_server_url, f'CREATE DATABASE "{name}" TEMPLATE "{postgres_template}"'))
    yield _database(pg_server_url, name)
    _apart(_execute(pg_server_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def desk_url(request: pytest.FixtureRequest) -> str:
    """The store a test names: `sqlite` or `postgresql` (indirect parameter)."""
    fixture = {"sqlite": "sqlite_desk_url", "postgresql": "postgres_desk_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url
