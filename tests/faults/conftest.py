"""Stores that are ready to start: migrated, with the model trained once per session, copied for each test."""

from __future__ import annotations

import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_sync.schema import upgrade
from tests import services
from tests.faults.harness import basic_settings
from tests.faults.process import FRONTDESK, clean_environment


def _prepare(database_url: str, folder: Path) -> None:
    """The store at `database_url` has its tables, its administrator and the trained model."""
    services.apart(upgrade(database_url))
    environment, command = clean_environment(basic_settings(database_url)), [sys.executable, *FRONTDESK]
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


@pytest.fixture(scope="session")
def postgres_template(pg_server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name of a database with a trained model, to copy."""
    name = f"faults_{secrets.token_hex(4)}"
    try:
        _prepare(services.create_database(pg_server_url, name), tmp_path_factory.mktemp("fault-template-pg"))
        yield name
    finally:
        services.drop_database(pg_server_url, name)


@pytest.fixture
def postgres_desk_url(pg_server_url: str, postgres_template: str) -> Iterator[str]:
    """A fresh PostgreSQL database with a trained model."""
    name = f"{postgres_template}_{secrets.token_hex(4)}"
    yield services.create_database(pg_server_url, name, template=postgres_template)
    services.drop_database(pg_server_url, name)


@pytest.fixture
def desk_url(request: pytest.FixtureRequest) -> str:
    """The store a test names: `sqlite` or `postgresql` (indirect parameter)."""
    fixture = {"sqlite": "sqlite_desk_url", "postgresql": "postgres_desk_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url
