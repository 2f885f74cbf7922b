"""Brings the files of a sentence encoder from a folder or an https address. Runs only when an operator says so."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from bot.errors import AssistantInvalid, ServiceError
from nlu.embedded.encoder import MODELS, TOKENIZER, files_of

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
            model, tokenizer = files_of(Path(source))
            shutil.copyfile(model, fresh / MODELS[0])
            shutil.copyfile(tokenizer, fresh / TOKENIZER)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)


def _fetch(base: str, fresh: Path) -> None:
    if not any(_got(f"{base}/{name}", fresh / MODELS[0]) for name in MODELS):
        raise AssistantInvalid(f"there is no {' or '.join(MODELS)} below this address", file=base)
    if not _got(f"{base}/{TOKENIZER}", fresh / TOKENIZER):
        raise AssistantInvalid(f"there is no {TOKENIZER} below this address", file=base)


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
