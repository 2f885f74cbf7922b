"""Desks under test: everything in one process on SQLite, or each role in its own on PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from bench.processes import Server, fresh_folder, frontdesk
from bench.sections import Plan
from crm_sync.schema import upgrade
from tests.services import create_database


@dataclass(frozen=True, slots=True)
class Desk:
    """Its processes in the order in which their roles were named; the first one has the port.

    `environment` is what a command needs to work on the same store, in the folder of the first process.
    """

    servers: Sequence[Server]
    store: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.servers[0].port

    def cpu_s(self) -> float:
        return sum(server.cpu_s() for server in self.servers)


Running = Callable[[Plan, str, Mapping[str, str]], AbstractContextManager[Desk]]


@contextmanager
def in_one_process(plan: Plan, name: str, environment: Mapping[str, str]) -> Iterator[Desk]:
    folder = fresh_folder(plan.work, name, plan.template)
    with Server(frontdesk("run", "--port", "0"), folder, environment) as server:
        yield Desk([server], f"sqlite:///{folder / 'frontdesk.db'}")


def roles_apart(database: str, redis: str, roles: Sequence[str]) -> Running:
    """One process for each of `roles`, on a new database of the server at `database`."""

    @contextmanager
    def running(plan: Plan, name: str, environment: Mapping[str, str]) -> Iterator[Desk]:
        store = create_database(database, f"bench_{secrets.token_hex(4)}")
        asyncio.run(upgrade(store))
        shared = {
            **environment,
            "FRONTDESK_DATABASE_URL": store,
            "FRONTDESK_REDIS_URL": redis,
            "FRONTDESK_SECRET_KEY": secrets.token_hex(32),
        }
        with ExitStack() as started:

            def start(number: int, role: str) -> Server:
                folder = fresh_folder(plan.work, f"{name}-{role}-{number}", plan.template)
                serves = role in {"web", "console"}
                command = frontdesk("run", "--roles", role, *(("--port", "0") if serves else ()))
                return started.enter_context(Server(command, folder, shared, has_port=serves))

            yield Desk([start(number, role) for number, role in enumerate(roles)], store, shared)

    return running
