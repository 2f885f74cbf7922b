"""The stand-in vendors of `frontdesk simulate`: how each is started, and what it tells about connecting a desk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from frontdesk.commands.output import say

HOST: Final = "127.0.0.1"
Serve = Callable[[int, Path | None], Coroutine[Any, Any, None]]


def _announce(vendor: str, url: str, settings: Mapping[str, Any]) -> None:
    say(f"Chat as a customer  {url}/_sim/")
    say("Connect a desk to it with")
    for name, value in settings.items():
        shown = str(value).lower() if isinstance(value, bool) else value
        say(f"  FRONTDESK_CHANNELS__{vendor}__MAIN__{name.upper()}={shown}")
    sys.stdout.flush()


async def _telegram(port: int, ledger: Path | None) -> None:
    from channels.simulators.telegram import serve_simulator

    def started(url: str, token: str) -> None:
        _announce("TELEGRAM", url, {"token": token, "api_base_url": url})

    await serve_simulator(HOST, port, ledger, started=started)


async def _wecom(port: int, ledger: Path | None) -> None:
    from channels.simulators.wecom import serve_simulator

    await serve_simulator(HOST, port, ledger, started=partial(_announce, "WECOM"))


async def _wechat(port: int, ledger: Path | None) -> None:
    from channels.simulators.wechat import serve_simulator

    await serve_simulator(HOST, port, ledger, started=partial(_announce, "WECHAT"))


async def _line(port: int, ledger: Path | None) -> None:
    from channels.simulators.line import serve_simulator

    await serve_simulator(HOST, port, ledger, started=partial(_announce, "LINE"))


VENDORS: Final[Mapping[str, Serve]] = {"telegram": _telegram, "wechat": _wechat, "wecom": _wecom, "line": _line}
