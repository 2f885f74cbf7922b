#!/usr/bin/env python3
# ruff: noqa: S603, S606, T201 - a command-line script: it prints, and it runs programs it has chosen itself
"""The real Rasa 3.6.21 beside Frontdesk: its own environment, models cached by content, a server in the foreground.

    rasa_env.py ensure                              the environment exists and is complete (first time: about 2 minutes)
    rasa_env.py train [--assistant DIR] [--out DIR] a model of the assistant as it is now; prints its path
    rasa_env.py serve [--assistant DIR] [--port N]  that model, served on 127.0.0.1:5005
    rasa_env.py validate [--assistant DIR]          what Rasa itself thinks of the assistant folder
    rasa_env.py test [PYTEST ARGUMENTS]             the suite that needs Rasa

Rasa needs Python 3.10; this script needs Python 3.11 and nothing else. Progress goes to stderr, paths to stdout.
`FRONTDESK_PYTHON310` names the interpreter, `FRONTDESK_RASA_ENV` the environment's folder (default: a folder named
after the lock file's hash under `$XDG_CACHE_HOME/frontdesk`). See docs/rasa.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

RASA_VERSION = "3.6.21"
ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "rasa.lock"
SAMPLE = ROOT / "config" / "assistants" / "shop"
BUILD_FIRST = ("setuptools", "wheel")  # they build the lock's source-only packages, without pip's isolated builds
KEPT_MODELS = 6  # per cache folder; older ones are deleted when a new one is trained

OURS = ".frontdesk-rasa"  # written first: this folder was made by this script and may be rebuilt by it
COMPLETE = ".frontdesk-rasa-complete"  # written last, with the lock's hash

NO_PYTHON = (
    "Rasa 3.6.21 needs Python 3.10 and none of the interpreters found here runs; install one "
    "(Ubuntu 22.04: apt install python3.10-venv, macOS: brew install python@3.10, "
    "any system: uv python install 3.10, or pyenv install 3.10) or set FRONTDESK_PYTHON310 to its path."
)
# A candidate must be able to make an environment that can fetch packages, not only start.
PROBE = "import sys, venv, ensurepip, ssl, ctypes; sys.exit(sys.version_info[:2] != (3, 10))"


class Failed(Exception):
    """Something a person must do; the text is the one sentence they get."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- finding Python 3.10 ----------------------------------------------------------------------------------------


def candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    """Every place a Python 3.10 may be, likeliest first; none of them has been run yet."""
    home = Path(environ.get("HOME") or Path.home())
    for folder in environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield Path(folder) / "python3.10"
    roots = {
        Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions": ("3.10*/bin/python3.10",),
        Path(environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python"): (
            "cpython-3.10*/bin/python3.10",
        ),
        home / "Library/Application Support/uv/python": ("cpython-3.10*/bin/python3.10",),
        home / ".asdf/installs/python": ("3.10*/bin/python3.10",),
        home / ".local/share/mise/installs/python": ("3.10*/bin/python3.10",),
        Path("/opt"): ("python3.10/bin/python3.10", "python/3.10*/bin/python3.10"),
        Path("/opt/homebrew"): ("bin/python3.10", "opt/python@3.10/bin/python3.10"),
        Path("/home/linuxbrew/.linuxbrew"): ("bin/python3.10", "opt/python@3.10/bin/python3.10"),
        Path("/usr/local"): ("bin/python3.10", "opt/python@3.10/bin/python3.10", "Cellar/python@3.10/*/bin/python3.10"),
        Path("/Library/Frameworks/Python.framework/Versions"): ("3.10/bin/python3.10",),
        Path("/usr/bin"): ("python3.10",),
    }
    for name in ("miniconda3", "anaconda3", "miniforge3", "mambaforge"):
        roots[home / name] = roots[Path("/opt") / name] = ("bin/python3.10", "envs/*/bin/python3.10")
    for root, patterns in roots.items():
        for pattern in patterns:
            with contextlib.suppress(OSError):  # a folder we may not look into
                yield from sorted(root.glob(pattern), reverse=True)


def runs(python: Path, environ: Mapping[str, str]) -> bool:
    """A name on PATH may be a shim that points nowhere, or a build without ssl: only running it tells."""
    try:
        probe = subprocess.run(
            [python, "-I", "-c", PROBE],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0


def find_python310(environ: Mapping[str, str], places: Iterable[Path] | None = None) -> Path:
    """The first of `places` (default: everywhere one may be) that runs; `FRONTDESK_PYTHON310` instead, if it is set."""
    named = environ.get("FRONTDESK_PYTHON310")
    if named:
        found = shutil.which(named, path=environ.get("PATH"))
        if found and runs(Path(found), environ):
            return Path(found)
        raise Failed(
            f"FRONTDESK_PYTHON310 is {named}, which is not a working Python 3.10 with venv and ssl; "
            "correct it or unset it to have one looked for."
        )
    seen: set[Path] = set()
    for candidate in candidates(environ) if places is None else places:
        if candidate not in seen and candidate.is_file() and runs(candidate, environ):
            return candidate
        seen.add(candidate)
    raise Failed(NO_PYTHON)


# --- the environment --------------------------------------------------------------------------------------------


def cache_folder(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(base).expanduser().resolve() / "frontdesk"


def lock_hash() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]


def env_folder(environ: Mapping[str, str]) -> Path:
    named = environ.get("FRONTDESK_RASA_ENV")
    if named:
        return Path(named).expanduser().resolve()
    return cache_folder(environ) / f"rasa-{RASA_VERSION}-{lock_hash()}"


@contextlib.contextmanager
def only_one(path: Path, waiting_for: str) -> Iterator[None]:
    """Two at once: the second one waits and then finds the work done. Released by the kernel if we die."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another process is busy with {waiting_for}; waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_complete(env: Path, environ: Mapping[str, str]) -> bool:
    """Made by us from this lock file, or brought by the user with the right Rasa in it; and it still runs."""
    python = env / "bin" / "python"
    if not python.is_file():
        return False
    if (env / OURS).exists():
        marker = env / COMPLETE
        if not marker.is_file() or marker.read_text().strip() != lock_hash():
            return False
        return runs(python, environ)  # its base interpreter may have been removed since
    check = f"from importlib.metadata import version; version('jieba'); assert version('rasa') == '{RASA_VERSION}'"
    return subprocess.run([python, "-I", "-c", check], capture_output=True, check=False).returncode == 0


def ensure(environ: Mapping[str, str]) -> Path:
    """The environment's folder, complete. Takes about 2 minutes and 2 GB when it is not there yet."""
    env = env_folder(environ)
    if is_complete(env, environ):
        return env
    with only_one(env.with_name(env.name + ".lock"), f"the environment {env}"):
        if not is_complete(env, environ):
            build(env, environ)
    return env


def build(env: Path, environ: Mapping[str, str]) -> None:
    if env.exists() and any(env.iterdir()) and not (env / OURS).exists():
        raise Failed(
            f"{env} is not an environment with Rasa {RASA_VERSION} and jieba, and was not made by this script; "
            "empty it or set FRONTDESK_RASA_ENV to another folder."
        )
    python = find_python310(environ)
    started = time.monotonic()
    say(f"Installing Rasa {RASA_VERSION} into {env} with {python} (once; about 2 minutes, 2 GB).")
    shutil.rmtree(env, ignore_errors=True)
    env.mkdir(parents=True)
    (env / OURS).write_text("Made by scripts/rasa_env.py; delete the folder to have it made again.\n")
    log = env.with_name(env.name + ".log")
    pip: list[str | Path] = [
        env / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--require-hashes",
        "--no-deps",
    ]
    first = env / "build-first.txt"
    first.write_text(locked_lines(LOCK.read_text(), BUILD_FIRST))
    steps: tuple[list[str | Path], ...] = (
        [python, "-m", "venv", env],
        [*pip, "-r", first],
        [*pip, "--no-build-isolation", "--use-pep517", "-r", LOCK],
        [env / "bin" / "python", "-W", "ignore", "-m", "rasa", "--version"],
    )
    with log.open("wb") as out:
        for step in steps:
            done = subprocess.run(step, env=rasa_environ(environ), stdout=out, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                last = log.read_text(errors="replace").strip().splitlines()[-5:]
                raise Failed(
                    "\n".join([*last, f"Installing Rasa failed (see {log}); check network and free disk space."])
                )
    partial = env / (COMPLETE + ".partial")
    partial.write_text(lock_hash() + "\n")
    partial.rename(env / COMPLETE)
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def locked_lines(lock: str, names: Sequence[str]) -> str:
    """The lock's entries for these packages, hashes included."""
    entries = lock.replace("\\\n", "\0").splitlines()
    chosen = [entry for entry in entries if entry.split("==")[0] in names]
    return "\n".join(chosen).replace("\0", "\\\n") + "\n"


def rasa_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Rasa without telemetry, chatter or more threads than asked for; its temporary files in our own folder.

    jieba keeps a marshalled dictionary under a fixed name in the temporary folder: in a shared /tmp another user could
    put one there. What the caller set for threads and logs stays.
    """
    cache = cache_folder(environ)
    temporary = cache / "tmp"
    temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
    threads = str(min(2, os.cpu_count() or 1))
    defaults = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_INTRA_OP_PARALLELISM_THREADS": threads,
        "TF_INTER_OP_PARALLELISM_THREADS": "1",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "RASA_CACHE_DIRECTORY": str(cache / "rasa-training"),  # Rasa's default is ./.rasa, wherever that is
    }
    fixed = {
        "RASA_TELEMETRY_ENABLED": "false",
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",
        "PYTHONWARNINGS": "ignore",
        "PYTHONNOUSERSITE": "1",
        "TMPDIR": str(temporary),
    }
    inherited = {key: value for key, value in environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    return {**defaults, **inherited, **fixed}


# --- models -----------------------------------------------------------------------------------------------------


def training_files(assistant: Path) -> list[Path]:
    """What a model depends on: the pipeline, the domain and the training data; nothing else of the folder."""
    files = [assistant / "config.yml"]
    domain = assistant / "domain.yml"
    files += [domain] if domain.is_file() else sorted((assistant / "domain").rglob("*.y*ml"))
    return files + sorted(path for path in (assistant / "data").rglob("*.y*ml") if path.is_file())


def content_hash(assistant: Path, nlu_only: bool) -> str:
    """Equal for equal content, whatever the folder is called and whenever it was written."""
    digest = hashlib.sha256(f"rasa {RASA_VERSION} {lock_hash()} nlu_only={nlu_only}".encode())
    for path in training_files(assistant):
        digest.update(f"\0{path.relative_to(assistant).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def check_assistant(assistant: Path) -> Path:
    assistant = assistant.expanduser().resolve()
    for name in ("config.yml", "data"):
        if not (assistant / name).exists():
            raise Failed(f"{assistant} is not a Rasa project: {name} is missing; give its folder with --assistant.")
    if not (assistant / "domain.yml").is_file() and not (assistant / "domain").is_dir():
        raise Failed(f"{assistant} is not a Rasa project: domain.yml is missing; give its folder with --assistant.")
    return assistant


def train(assistant: Path, environ: Mapping[str, str], *, nlu_only: bool = False) -> Path:
    """A model trained on the assistant's files as they are; a cached one when they have not changed."""
    assistant = check_assistant(assistant)
    models = cache_folder(environ) / "rasa-models"
    model = models / f"{assistant.name}-{content_hash(assistant, nlu_only)}.tar.gz"
    env = ensure(environ)
    if model.is_file():
        model.touch()  # recently used: kept longest
        return model
    with only_one(model.with_suffix(".lock"), f"training {assistant.name}"):
        if not model.is_file():
            started = time.monotonic()
            say(f"Training Rasa on {assistant} (cached afterwards).")
            _train(env, assistant, model, environ, nlu_only=nlu_only)
            say(f"Trained in {time.monotonic() - started:.0f} s.")
            forget_old_models(models)
    return model


def _train(env: Path, assistant: Path, model: Path, environ: Mapping[str, str], *, nlu_only: bool) -> None:
    domain = assistant / "domain.yml"
    with tempfile.TemporaryDirectory(prefix=".training-", dir=model.parent) as work:
        command: list[str | Path] = [env / "bin" / "python", "-W", "ignore", "-m", "rasa", "train"]
        command += ["nlu", "--nlu", assistant / "data"] if nlu_only else ["--data", assistant / "data"]
        command += ["--domain", domain if domain.is_file() else assistant / "domain"]
        command += ["--config", assistant / "config.yml", "--out", work, "--fixed-model-name", "model", "--quiet"]
        log = model.with_suffix(".log")
        with log.open("wb") as out:
            done = subprocess.run(
                command, cwd=work, env=rasa_environ(environ), stdout=out, stderr=subprocess.STDOUT, check=False
            )
        trained = Path(work) / "model.tar.gz"
        if done.returncode or not trained.is_file():
            last = log.read_text(errors="replace").strip().splitlines()[-8:]
            raise Failed(
                "\n".join([*last, f"Rasa could not train on {assistant} (all of it in {log}); correct the files."])
            )
        log.unlink()
        trained.rename(model)


def forget_old_models(models: Path) -> None:
    newest_first = sorted(models.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in newest_first[KEPT_MODELS:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".lock").unlink(missing_ok=True)


# --- commands ---------------------------------------------------------------------------------------------------


def require_free_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            raise Failed(
                f"Cannot serve on {host}:{port} ({exc.strerror or exc}); stop what listens there or choose another "
                "port with --port."
            ) from exc


def run_rasa(env: Path, arguments: Sequence[str | Path], environ: Mapping[str, str], cwd: Path) -> NoReturn:
    """This process becomes Rasa, so that signals, exit status and the process id are Rasa's own."""
    os.chdir(cwd)
    python = str(env / "bin" / "python")
    command = [python, "-W", "ignore", "-m", "rasa", *map(str, arguments)]
    os.execve(python, command, rasa_environ(environ))


def serve(options: argparse.Namespace, environ: Mapping[str, str]) -> NoReturn:
    require_free_port(options.host, options.port)
    assistant = check_assistant(options.assistant)
    model = train(assistant, environ, nlu_only=options.nlu_only)
    arguments: list[str | Path] = ["run", "--enable-api", "--interface", options.host, "--port", str(options.port)]
    # Only the REST channel: what else the folder's credentials name (messengers) is Frontdesk's to serve.
    arguments += ["--connector", "rest", "--model", model, "--quiet"]
    if (assistant / "endpoints.yml").is_file():
        arguments += ["--endpoints", assistant / "endpoints.yml"]
    require_free_port(options.host, options.port)  # training took a while
    say(f"Rasa {RASA_VERSION}, {model.name}: http://{options.host}:{options.port} in half a minute; Ctrl-C stops it.")
    run_rasa(env_folder(environ), arguments, environ, model.parent)


def validate(options: argparse.Namespace, environ: Mapping[str, str]) -> NoReturn:
    assistant = check_assistant(options.assistant)
    domain = assistant / "domain.yml"
    arguments: list[str | Path] = ["data", "validate", "--data", assistant / "data"]
    arguments += [
        "--domain",
        domain if domain.is_file() else assistant / "domain",
        "--config",
        assistant / "config.yml",
    ]
    run_rasa(ensure(environ), [*arguments, "--quiet"], environ, cache_folder(environ))


def test(options: argparse.Namespace, environ: Mapping[str, str]) -> NoReturn:
    env = ensure(environ)
    python = str(ROOT / ".venv" / "bin" / "python")
    if not Path(python).is_file():
        raise Failed("There is no .venv to run the tests with; run `make test-rasa`, which makes it.")
    os.chdir(ROOT)
    command = [python, "-m", "pytest", "-m", "rasa", *(options.pytest or ["tests/rasa"])]
    os.execve(python, command, {**environ, "FRONTDESK_RASA_ENV": str(env)})


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="rasa_env.py", description=(__doc__ or "").splitlines()[0])
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("ensure", help="install Rasa into its own environment, if it is not there yet")
    with_assistant = argparse.ArgumentParser(add_help=False)
    with_assistant.add_argument("--assistant", type=Path, default=SAMPLE, help="folder of the Rasa project")
    training = argparse.ArgumentParser(add_help=False)
    training.add_argument("--nlu-only", action="store_true", help="understanding without the rules")
    one = commands.add_parser("train", parents=[with_assistant, training], help="train, or find the cached model")
    one.add_argument("--out", type=Path, help="also copy the model into this folder")
    server = commands.add_parser("serve", parents=[with_assistant, training], help="serve in the foreground")
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=5005)
    commands.add_parser("validate", parents=[with_assistant], help="let Rasa check the assistant folder")
    suite = commands.add_parser("test", help="run the tests that need Rasa")
    suite.add_argument("pytest", nargs=argparse.REMAINDER)
    return top


def dispatch(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    match options.command:
        case "ensure":
            print(ensure(environ))
        case "train":
            model = train(options.assistant, environ, nlu_only=options.nlu_only)
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                model = Path(shutil.copy2(model, options.out))
            print(model)
        case "serve":
            serve(options, environ)
        case "validate":
            validate(options, environ)
        case "test":
            test(options, environ)


def main() -> int:
    try:
        dispatch(parser().parse_args(), os.environ)
    except Failed as failure:
        say(str(failure))
        return 1
    except OSError as failure:
        say(
            f"{failure.filename or 'The system'}: {failure.strerror or failure}; check permissions and free disk space."
        )
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


if __name__ == "__main__":
    sys.exit(main())
