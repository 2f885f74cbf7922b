"""What staff changed in the store, written back into the assistant's files: articles, and the wording of responses.

Only what changed is touched. An article is a Markdown file; of a response the lines of its block in `domain.yml` are
replaced, and one the folder takes from the shared files gets a block of its own there, which wins over the shared one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bot.assistant import Variation
from bot.edited_texts import EditedResponse, with_edits
from bot.errors import InputError
from bot.types import Language
from crm_sync.models import StoredArticle, dump_details
from frontdesk.assistant import load_assistant
from frontdesk.yaml_lines import read_yaml
from nlu.articles import load_articles

DOMAIN = "domain.yml"


@dataclass
class Exported:
    """Files written or removed, relative to the folder, and what was left alone with the reason."""

    files: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def export_assistant(
    folder: Path, target: Path | None, articles: Sequence[StoredArticle], responses: Sequence[EditedResponse]
) -> Exported:
    """The edits are in the files of `target` (a copy of the folder) or of the folder itself.

    Raises: InputError when `target` exists; AssistantInvalid when the folder cannot be read, or not any more.
    """
    if target is not None:
        if target.exists():
            raise InputError(f"{target} exists already; name a folder that does not")
        shutil.copytree(folder, target)
    place, done = target or folder, Exported()
    _articles(place, articles, done)
    _responses(place, responses, done)
    load_assistant(place)
    return done


# --- articles -------------------------------------------------------------------------------------------------------


def _articles(folder: Path, articles: Iterable[StoredArticle], done: Exported) -> None:
    shelf = folder / "knowledge"
    files = {(each.id, each.language): path for path in sorted(shelf.rglob("*.md")) for each in load_articles(path)}
    known = {(each.id, each.language) for each in load_articles(shelf)} if shelf.is_dir() else set()
    for article in articles:
        key = (article.id, article.language)
        path = files.get(key)
        name = f"{article.id} ({article.language})"
        if path is None and key in known:
            done.left.append(f"article {name} is in a table; change it there")
            continue
        if article.is_withdrawn:
            if path is not None:
                path.unlink()
                done.files.append(path.relative_to(folder).as_posix())
            continue
        fields = _front_matter(path) if path is not None else {}
        path = path or shelf / article.language / f"{article.id}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        fields |= {"id": article.id, "language": article.language, "title": article.title}
        fields["questions"] = list(article.questions)
        fields |= dump_details(article.details)
        words = yaml.safe_dump(fields, allow_unicode=True, sort_keys=False, width=110)
        path.write_text(f"---\n{words}---\n{article.answer}\n", encoding="utf-8")
        done.files.append(path.relative_to(folder).as_posix())


def _front_matter(path: Path) -> dict[str, Any]:
    """What the file's head says, also what the store does not keep."""
    loaded = yaml.safe_load(path.read_text(encoding="utf-8").split("---", 2)[1])
    return dict(loaded) if isinstance(loaded, dict) else {}


# --- responses ------------------------------------------------------------------------------------------------------


def _responses(folder: Path, responses: Sequence[EditedResponse], done: Exported) -> None:
    assistant = load_assistant(folder)
    names = [name for name in dict.fromkeys(each.name for each in responses) if name in assistant.responses]
    if not names:
        return
    edited = with_edits(assistant, responses)
    for name in names:
        document = read_yaml(folder / DOMAIN)
        own = document.get("responses") or {}
        block = _block(name, own.get(name), edited.responses[name], assistant.language)
        _put_block(folder / DOMAIN, document, name, block)
    done.files.append(DOMAIN)


def _block(name: str, written: Any, said: Sequence[Variation], first: Language) -> list[str]:
    """The response's lines: what the file says of each wording, with the words as they are now."""
    entries = []
    taken: dict[tuple[str | None, str], int] = {}
    for variation in said:
        key = (variation.language, variation.channel)
        entry = _entry_of(written, variation, taken.get(key, 0), first) or _made(variation, first)
        taken[key] = taken.get(key, 0) + 1
        entries.append({**entry, "text": variation.text} if variation.text else entry)
    dumped = yaml.safe_dump({name: entries}, allow_unicode=True, sort_keys=False, width=110)
    return [f"  {line}" if line else line for line in dumped.splitlines()]


def _entry_of(written: Any, variation: Variation, place: int, first: Language) -> dict[str, Any] | None:
    """The entry of the file for a wording of this language and channel, the last one where there are too few."""
    fitting = [
        _plain(entry)
        for entry in written or ()
        if _language(entry, first) == (variation.language or first)
        and str(entry.get("channel", "")) == variation.channel
    ]
    return fitting[min(place, len(fitting) - 1)] if fitting else None


def _language(entry: Any, first: Language) -> str:
    conditions = entry.get("condition") or ()
    return next((str(each.get("value")) for each in conditions if each.get("name") == "language"), first)


def _made(variation: Variation, first: Language) -> dict[str, Any]:
    """An entry for a wording that comes from the shared files."""
    entry: dict[str, Any] = {}
    if variation.language and variation.language != first:
        entry["condition"] = [{"type": "slot", "name": "language", "value": variation.language}]
    entry["text"] = variation.text
    if variation.channel:
        entry["channel"] = variation.channel
    if variation.buttons:
        entry["buttons"] = [{"title": button.label, "payload": button.value} for button in variation.buttons]
    if variation.image:
        entry["image"] = variation.image
    custom: dict[str, Any] = {}
    if variation.text_format != "plain":
        custom["text_format"] = variation.text_format
    if variation.ask:
        custom["ask"] = variation.ask
    if variation.status_key:
        custom["status_key"] = variation.status_key
    if variation.media:
        keys = ("kind", "url", "media_id", "file_name", "mime", "caption")
        custom["media"] = [{key: getattr(file, key) for key in keys if getattr(file, key)} for file in variation.media]
    if variation.cards:
        custom["cards"] = [
            {
                **{
                    key: value
                    for key, value in (
                        ("title", card.title),
                        ("text", card.text),
                        ("image", card.image_url),
                        ("url", card.url),
                    )
                    if value
                },
                **(
                    {"buttons": [{"title": each.label, "payload": each.value} for each in card.buttons]}
                    if card.buttons
                    else {}
                ),
            }
            for card in variation.cards
        ]
    return {**entry, "custom": custom} if custom else entry


def _put_block(path: Path, document: Any, name: str, block: Sequence[str]) -> None:
    """The block stands in the file in place of the response's earlier one, or after the last response."""
    lines = path.read_text(encoding="utf-8").splitlines()
    own = document.get("responses")
    if not own:
        head = [line for line in lines if line.split("#")[0].rstrip() not in ("responses:", "responses: {}")]
        path.write_text("\n".join([*head, "responses:", *block]) + "\n", encoding="utf-8")
        return
    ends = sorted(line for key, line in document.lines.items() if line > document.lines["responses"])
    last = ends[0] - 1 if ends else len(lines)  # 0-based place after the section's last line
    starts = sorted(own.lines.values())
    if name in own:
        start = own.lines[name]
        later = [line for line in starts if line > start]
        begin, end = start - 1, later[0] - 1 if later else last
        while end > begin + 1 and _is_between(lines[end - 1]):
            end -= 1
    else:
        begin = end = _trimmed(lines, last)
    path.write_text("\n".join([*lines[:begin], *block, *lines[end:]]) + "\n", encoding="utf-8")


def _trimmed(lines: Sequence[str], end: int) -> int:
    while end > 0 and _is_between(lines[end - 1]):
        end -= 1
    return end


def _is_between(line: str) -> bool:
    """An empty line, or a remark about what follows."""
    return not line.strip() or line.lstrip().startswith("#")


def _plain(value: Any) -> Any:
    """The value without the lines it was read from."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
