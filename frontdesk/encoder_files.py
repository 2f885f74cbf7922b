"""Brings the files of a sentence encoder from a folder or an https address. Runs only when an operator says so."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from bot.errors import AssistantInvalid, ServiceError
from nlu.embedded.encoder import CONFIG, MODELS, TOKENIZER, WEIGHTS, files_of

_LIMIT_S = 60


def bring(source: str, folder: Path) -> None:
    """`folder` holds the model and its tokenizer. What was there stays when anything fails.

    Raises: AssistantInvalid when a file is missing, ServiceError when the address does not answer.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="encoder-") as name:
        fresh = Path(name) / "encoder"
        fresh.mkdir()
        if source.startswith("https://"):
            _fetch(source.rstrip("/"), fresh)
        else:
            for file in files_of(Path(source)):
                shutil.copyfile(file, fresh / file.name)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)


def _fetch(base: str, fresh: Path) -> None:
    wanted = [TOKENIZER]
    if not any(_got(f"{base}/{name}", fresh / MODELS[0]) for name in MODELS):
        wanted += [WEIGHTS, CONFIG]
    for name in wanted:
        if not _got(f"{base}/{name}", fresh / name):
            neither = f", nor {' or '.join(MODELS)}" if name == WEIGHTS else ""
            raise AssistantInvalid(f"there is no {name}{neither} below this address", file=base)


def _got(address: str, file: Path) -> bool:
    """False when there is no such file. Raises: ServiceError for any other refusal."""
    try:
        with urlopen(address, timeout=_LIMIT_S) as answer, file.open("wb") as out:  # noqa: S310 - https only, see bring
            shutil.copyfileobj(answer, out)
    except HTTPError as exc:
        if exc.code == 404:
            return False
        raise ServiceError("encoder", f"answered {exc.code}") from exc
    except (URLError, OSError) as exc:
        raise ServiceError("encoder", "cannot be reached") from exc
    return True
