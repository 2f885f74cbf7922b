"""Runs roles until told to stop: supervised tasks, one HTTP server, a clean way out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bot.errors import Misconfigured
from channels.webhook import HAS_HUNG_UP
from frontdesk.observing import ROLE_RESTARTS

log = structlog.get_logger()

RESTART_AFTER_S = 1.0
DRAIN_S = 5.0  # what a stopping process gives its streams and turns


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket. Raises: Misconfigured, saying in one sentence what to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            reason = "is taken by another program; stop it or choose another with --port"
        elif error.errno == errno.EACCES:
            reason = "may not be opened by this user; choose one above 1024 with --port"
        else:
            reason = f"cannot be opened ({error.strerror}); check --host and --port"
        raise Misconfigured(f"Port {port} on {host}", reason) from error
    except OverflowError as error:
        listener.close()
        raise Misconfigured(f"Port {port}", "is no port; use 1 to 65535") from error
    listener.setblocking(False)
    return listener


async def supervise(role: str, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work` for ever; a crash is reported and the role starts again, so one bug does not stop the desk."""
    while True:
        try:
            await work()
            return
        except asyncio.CancelledError:
            raise
        except Misconfigured as error:
            log.error("role_stopped", role=role, reason=str(error))  # only an operator can mend it; the others go on
            return
        except Exception:
            ROLE_RESTARTS.labels(role).inc()
            log.exception("role_crashed", role=role)
            await asyncio.sleep(RESTART_AFTER_S)


class Connection(HttpToolsProtocol):
    """uvicorn's, whose requests can also be asked whether the other side has hung up, which ASGI tells only later: the
    loop learns of it when it comes round again, and that is after the answer it is about to write.
    """

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][HAS_HUNG_UP] = self.has_hung_up

    def has_hung_up(self) -> bool:
        """As the kernel knows it now."""
        if self.transport.is_closing():
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), getattr(select, "POLLRDHUP", 0))
        return bool(poll.poll(0))


class HttpServer:
    """uvicorn on a socket we opened ourselves, inside our own loop and signals."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            loop="none",
            http=Connection,
            ws="websockets-sansio",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            lifespan="off",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(DRAIN_S),
            h11_max_incomplete_event_size=64 * 1024,
            ws_max_size=1_000_000,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        # Our own handler stops the roles in order; uvicorn must not take the signals away from it.
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]

    async def run(self) -> None:
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        self._server.should_exit = True


def stop_requested() -> asyncio.Event:
    """Set at SIGINT or SIGTERM from now on, which no longer end the process by themselves."""
    requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, requested.set)
    return requested


async def until_stopped() -> None:
    """Returns at SIGINT or SIGTERM."""
    await stop_requested().wait()


async def end(tasks: Sequence[asyncio.Task[None]], *, within_s: float = DRAIN_S) -> None:
    """Wait for tasks that were asked to stop; cancel what does not."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=within_s)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
