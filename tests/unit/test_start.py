"""Starting: one clear sentence for every way a start can fail, and no secret lying about."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.routing import BaseRoute, Route

from bot.errors import Misconfigured
from config.settings import Settings
from console.assets import asset_routes
from console.inbox_routes import inbox_routes
from console.live import live_route
from console.me import me_routes
from console.sign_in import sign_in_routes
from frontdesk.console_lazily import AT_DOOR, FILES, IN_INBOX
from frontdesk.faults import FAULT_POINTS, fault_from_environment
from frontdesk.secret_key import load_secret_keys
from frontdesk.serving import listen
from frontdesk.single_process import hold_store

ROOT = Path(__file__).parents[2]


def sqlite_settings(folder: Path) -> Settings:
    return Settings(database_url=SecretStr(f"sqlite:///{folder}/desk.db"))


def test_a_generated_key_is_kept_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    first = load_secret_keys(sqlite_settings(tmp_path))
    assert first == load_secret_keys(sqlite_settings(tmp_path))
    assert stat.S_IMODE((tmp_path / "desk.db.key").stat().st_mode) == 0o600


def test_an_empty_key_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "desk.db.key").write_bytes(b"\n")
    with pytest.raises(Misconfigured, match="holds no usable key"):
        load_secret_keys(sqlite_settings(tmp_path))


def test_postgresql_needs_a_key_of_its_own() -> None:
    with pytest.raises(Misconfigured, match="must be set"):
        load_secret_keys(Settings(database_url=SecretStr("postgresql://h/d")))


def test_a_short_key_is_refused_and_the_first_of_several_signs() -> None:
    with pytest.raises(Misconfigured, match="at least 16"):
        load_secret_keys(Settings(secret_key=(SecretStr("short"),)))
    keys = load_secret_keys(Settings(secret_key=(SecretStr("new-key-0123456789"), SecretStr("old-key-0123456789"))))
    assert keys[0] == b"new-key-0123456789"
    assert len(keys) == 2


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match="is taken by another program") as caught:
            listen("127.0.0.1", port)
    assert "\n" not in str(caught.value)


def test_a_second_desk_on_the_same_file_is_refused_by_name_of_the_first(tmp_path: Path) -> None:
    lock = hold_store(tmp_path / "desk.db")
    with pytest.raises(Misconfigured, match=f"process {os.getpid()}"):
        hold_store(tmp_path / "desk.db")
    lock.close()
    hold_store(tmp_path / "desk.db").close()


def test_a_folder_that_may_not_be_written_to_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written"):
        hold_store(tmp_path / "missing" / "desk.db")


def test_a_machine_without_a_fitting_python_is_told_what_to_install(tmp_path: Path) -> None:
    for folder in ("scripts", "requirements", "bin"):
        (tmp_path / folder).mkdir()
    (tmp_path / "scripts" / "setup.sh").write_bytes((ROOT / "scripts" / "setup.sh").read_bytes())
    (tmp_path / "bin" / "dirname").symlink_to(str(shutil.which("dirname")))
    too_old = tmp_path / "bin" / "python3"
    too_old.write_text("#!/bin/sh\nexit 1\n")
    too_old.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "scripts/setup.sh", "run"],
        cwd=tmp_path,
        env={"PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Frontdesk needs Python 3.11 or newer")
    assert done.stderr.count("\n") == 1


def test_a_fault_point_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_FAULT", "nowhere")
    with pytest.raises(ValueError, match="names no fault point"):
        fault_from_environment()


def test_a_fault_kills_at_the_named_pass_and_not_before() -> None:
    script = (
        "from frontdesk.faults import fault_from_environment as f\n"
        "fault = f()\n"
        "fault('turn.thinking'); fault('turn.after_commit'); print('alive', flush=True)\n"
        "fault('turn.after_commit'); print('still alive', flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"FRONTDESK_FAULT": "turn.after_commit:2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "alive\n"
    assert done.returncode == -9
    assert len(FAULT_POINTS) >= 12


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[set[str]]:
    """What a desk has imported whose only channel is the web, once somebody stands at the console's door, sees the
    inbox, and all screens are there.
    """
    script = (
        "import sys\n"
        "import frontdesk.app, frontdesk.http, frontdesk.console_door\n"
        "from config.settings import Settings\n"
        "from frontdesk.kits import build_kits\n"
        "build_kits(Settings(), None)\n"
        "print(*sys.modules)\n"
        "import frontdesk.console_mount\n"
        "print(*sys.modules)\n"
        "import frontdesk.console_screens\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path_factory.mktemp("desk"),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return [set(line.split()) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def loaded(modules: list[set[str]]) -> set[str]:
    """The libraries of a console that is there whole."""
    return {name.partition(".")[0] for name in modules[-1]}


def test_nobody_waits_for_a_screen_they_do_not_look_at_yet(modules: list[set[str]]) -> None:
    at_door, in_inbox, whole = modules
    screens = {"console.settings", "console.cases", "console.broadcasts", "console.reports", "console.knowledge"}
    assert screens <= whole
    assert not screens & in_inbox
    assert "console.inbox" in in_inbox
    assert "console.inbox" not in at_door


def _paths(routes: list[BaseRoute]) -> set[str]:
    return {route.path for route in routes if isinstance(route, Route)}


def test_what_is_at_the_door_and_in_the_inbox_is_known_before_they_are_built() -> None:
    no: Any = None
    single: Any = object()
    assert _paths(sign_in_routes(no, no, single)) - {"/console"} == set(AT_DOOR)
    assert _paths(asset_routes()) == {f"{FILES}{{name}}"}
    inside = _paths([*inbox_routes(no, no), *live_route(no, no, no), *me_routes(no, no)])
    assert {path.split("/")[2] for path in inside} == set(IN_INBOX)


@pytest.mark.parametrize("library", ["redis", "joserfc"])
def test_the_first_page_of_the_console_waits_for_nothing_that_is_not_set_up(library: str, loaded: set[str]) -> None:
    assert "console" in loaded
    assert library not in loaded


@pytest.mark.parametrize("library", ["linebot", "telegram", "wechatpy"])
def test_a_vendor_s_library_costs_nothing_where_its_channel_is_off(library: str, loaded: set[str]) -> None:
    assert "channels" in loaded
    assert library not in loaded


def test_the_channel_to_copy_stays_as_small_as_contributing_says() -> None:
    files = [*(ROOT / "channels" / "line").glob("*.py"), ROOT / "frontdesk" / "kits" / "line.py"]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert 0 < len(lines) < 300
