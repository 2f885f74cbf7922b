"""scripts/rasa_env.py up to the point where it would need the network: finding Python, refusing, locking, caching."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "rasa_env.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rasa_env", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rasa_env = _load()


def an_interpreter(path: Path, *, works: bool) -> Path:
    """Something called python3.10 that answers the probe, or fails like a shim that points nowhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {0 if works else 127}\n")
    path.chmod(0o755)
    return path


def a_project(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    for name in ("config.yml", "domain.yml", "data/nlu.yml"):
        (folder / name).write_text(f"# {name}\n")
    return folder


def run(*arguments: str | Path, **environ: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        env={"PATH": os.defpath, **{key: str(value) for key, value in environ.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path) -> None:
    an_interpreter(tmp_path / "shims" / "python3.10", works=False)
    good = an_interpreter(tmp_path / ".pyenv" / "versions" / "3.10.13" / "bin" / "python3.10", works=True)
    assert rasa_env.find_python310({"HOME": str(tmp_path), "PATH": str(tmp_path / "shims")}) == good


def test_the_named_interpreter_goes_before_all_others(tmp_path: Path) -> None:
    an_interpreter(tmp_path / "bin" / "python3.10", works=True)
    named = an_interpreter(tmp_path / "mine", works=True)
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path / "bin"), "FRONTDESK_PYTHON310": str(named)}
    assert rasa_env.find_python310(environ) == named


def test_a_named_interpreter_that_does_not_work_is_reported_and_not_replaced(tmp_path: Path) -> None:
    an_interpreter(tmp_path / "bin" / "python3.10", works=True)
    broken = an_interpreter(tmp_path / "broken", works=False)
    ended = run(
        "ensure", HOME=tmp_path, PATH=tmp_path / "bin", FRONTDESK_PYTHON310=broken, FRONTDESK_RASA_ENV=tmp_path / "env"
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "FRONTDESK_PYTHON310" in ended.stderr
    assert not (tmp_path / "env").exists()


def test_without_any_python_310_one_sentence_says_how_to_get_one(tmp_path: Path) -> None:
    places = [tmp_path / "nowhere" / "python3.10", an_interpreter(tmp_path / "python3.10", works=False)]
    with pytest.raises(rasa_env.Failed, match=r"(?s)needs Python 3\.10.*apt install.*brew install.*uv python install"):
        rasa_env.find_python310({"HOME": str(tmp_path), "PATH": ""}, places)


def test_this_interpreter_is_not_taken_for_a_python_310(tmp_path: Path) -> None:
    assert sys.version_info[:2] != (3, 10)
    assert not rasa_env.runs(Path(sys.executable), dict(os.environ))


def test_somebody_elses_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("…")
    ended = run("ensure", HOME=tmp_path, FRONTDESK_RASA_ENV=tmp_path / "letters")
    assert ended.returncode == 1
    assert "was not made by this script" in ended.stderr
    assert (tmp_path / "letters" / "dear.txt").exists()


def test_a_half_made_environment_is_not_complete(tmp_path: Path) -> None:
    an_interpreter(tmp_path / "bin" / "python", works=True)
    (tmp_path / rasa_env.OURS).touch()
    assert not rasa_env.is_complete(tmp_path, os.environ)
    (tmp_path / rasa_env.COMPLETE).write_text("another lock file's hash\n")
    assert not rasa_env.is_complete(tmp_path, os.environ)
    (tmp_path / rasa_env.COMPLETE).write_text(rasa_env.lock_hash() + "\n")
    assert rasa_env.is_complete(tmp_path, os.environ)
    an_interpreter(tmp_path / "bin" / "python", works=False)  # its base interpreter was removed
    assert not rasa_env.is_complete(tmp_path, os.environ)


def test_the_environment_is_named_after_what_is_in_it(tmp_path: Path) -> None:
    folder = rasa_env.env_folder({"XDG_CACHE_HOME": str(tmp_path)})
    assert folder.parent == tmp_path / "frontdesk"
    assert folder.name == f"rasa-3.6.21-{rasa_env.lock_hash()}"
    assert rasa_env.env_folder({"FRONTDESK_RASA_ENV": str(tmp_path / "x")}) == tmp_path / "x"


def test_a_taken_port_is_one_sentence_before_anything_else_happens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run("serve", "--port", port, HOME=tmp_path, FRONTDESK_RASA_ENV=tmp_path / "env")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert port in ended.stderr
    assert "--port" in ended.stderr
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("missing", ["config.yml", "domain.yml", "data/nlu.yml"])
def test_a_folder_that_is_no_rasa_project_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    project = a_project(tmp_path / "mine")
    (project / missing).unlink()
    if missing.startswith("data"):
        (project / "data").rmdir()
    ended = run("train", "--assistant", project, HOME=tmp_path, FRONTDESK_RASA_ENV=tmp_path / "env")
    assert ended.returncode == 1
    assert missing.split("/", maxsplit=1)[0] in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_model_belongs_to_the_content_not_to_the_folder(tmp_path: Path) -> None:
    one, two = a_project(tmp_path / "one"), a_project(tmp_path / "two")
    (two / "flows.yml").write_text("flows: {}\n")  # nothing Rasa trains on
    assert rasa_env.content_hash(one, False) == rasa_env.content_hash(two, False)
    assert rasa_env.content_hash(one, False) != rasa_env.content_hash(one, True)
    (two / "data" / "nlu.yml").write_text("# changed\n")
    assert rasa_env.content_hash(one, False) != rasa_env.content_hash(two, False)


def test_a_renamed_training_file_is_another_model(tmp_path: Path) -> None:
    project = a_project(tmp_path / "one")
    before = rasa_env.content_hash(project, False)
    (project / "data" / "nlu.yml").rename(project / "data" / "more.yml")
    assert rasa_env.content_hash(project, False) != before


def test_only_the_newest_models_are_kept(tmp_path: Path) -> None:
    for age in range(rasa_env.KEPT_MODELS + 2):
        model = tmp_path / f"shop-{age}.tar.gz"
        model.touch()
        os.utime(model, (1_000_000 - age, 1_000_000 - age))
    rasa_env.forget_old_models(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"shop-{n}.tar.gz" for n in range(rasa_env.KEPT_MODELS)]


def test_what_builds_the_others_is_installed_first_with_its_hashes() -> None:
    lines = rasa_env.locked_lines(rasa_env.LOCK.read_text(), rasa_env.BUILD_FIRST)
    entries = [line for line in lines.splitlines() if "==" in line]
    assert [entry.split("==")[0] for entry in entries] == ["setuptools", "wheel"]
    assert lines.count("--hash=sha256:") >= 4


def test_every_locked_package_has_a_hash() -> None:
    entries = rasa_env.LOCK.read_text().replace("\\\n", "").splitlines()
    packages = [entry for entry in entries if "==" in entry]
    assert any(entry.startswith("rasa==3.6.21") for entry in packages)
    assert [entry.split("==")[0] for entry in packages if "--hash=sha256:" not in entry] == []


def test_rasa_runs_without_telemetry_and_with_bounded_threads(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "PYTHONPATH": "/elsewhere",
        "RASA_TELEMETRY_ENABLED": "true",
        "OMP_NUM_THREADS": "1",
    }
    given = rasa_env.rasa_environ(environ)
    assert given["RASA_TELEMETRY_ENABLED"] == "false"
    assert "PYTHONPATH" not in given
    assert given["OMP_NUM_THREADS"] == "1"
    assert 1 <= int(given["TF_INTRA_OP_PARALLELISM_THREADS"]) <= 2
    assert Path(given["TMPDIR"]).stat().st_mode & 0o077 == 0
