"""A conversation as one page without scripts, for keeping and printing. Pure."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from channels.markup import to_plain
from channels.web.http import Headers

TRANSCRIPT_HEADERS: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    (b"content-disposition", b"attachment; filename=conversation.html"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_WORDS: Mapping[str, Mapping[str, str]] = {
    "zh": {
        "title": "在线客服",
        "heading": "对话记录",
        "customer": "您",
        "bot": "自动助手",
        "operator": "客服",
        "system": "系统",
        "made": "导出时间",
        "place": "位置",
        "empty": "还没有消息。",
        "file": "文件",
    },
    "en": {
        "title": "Customer service",
        "heading": "Conversation",
        "customer": "You",
        "bot": "Automatic assistant",
        "operator": "Our team",
        "system": "System",
        "made": "Saved",
        "place": "Location",
        "empty": "No messages yet.",
        "file": "File",
    },
}
_STYLE = """
body{max-width:720px;margin:24px auto;padding:0 16px;color:#1b1f24;background:#fff;
font:14px/1.5 -apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
h1{font-size:20px;margin:0 0 4px}header p,time{color:#5d6878;font-size:12px;margin:0}
article{border-top:1px solid #e4e7ec;padding:8px 0;break-inside:avoid}header{padding-bottom:16px}
h2{display:inline;font-size:12px;margin:0 8px 0 0}p{margin:4px 0 0;white-space:pre-wrap;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none}}
"""


def render(events: Sequence[Mapping[str, Any]], language: str, title: str, zone: ZoneInfo, now: datetime) -> bytes:
    """The page in UTF-8. An edited message is shown as it reads now, one taken back not at all; nothing in it is read
    as markup.
    """
    words = _WORDS[language]
    shown: dict[int, Mapping[str, Any]] = {}
    for event in events:
        if event.get("kind") != "event":
            shown[event.get("replaces", event["seq"])] = event
    there = [event for event in shown.values() if not event.get("deleted")]
    articles = "".join(_article(event, words, zone) for event in there) or f"<p>{words['empty']}</p>"
    heading = html.escape(title or words["title"])
    made = f"{words['heading']} · {words['made']} {_moment(now, zone)}"
    tag = "zh-CN" if language == "zh" else "en"
    page = (
        f'<!doctype html>\n<html lang="{tag}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{_STYLE}</style></head><body><header><h1>{heading}</h1>"
        f"<p>{made}</p></header><main>{articles}</main></body></html>"
    )
    return page.encode("utf-8", "replace")  # half an emoji has no bytes


def _article(event: Mapping[str, Any], words: Mapping[str, str], zone: ZoneInfo) -> str:
    name = event.get("name") or words.get(event["author"], words["system"])
    lines = [f'<p dir="auto">{html.escape(line)}</p>' for line in _lines(event, words) if line]
    moment = _moment(datetime.fromisoformat(event["at"]), zone)
    return f'<article><h2 dir="auto">{html.escape(name)}</h2><time>{moment}</time>{"".join(lines)}</article>'


def _lines(event: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    text = event["text"]
    lines = [to_plain(text) if event.get("text_format") == "markdown" else text]
    if event.get("kind") == "location" and not text:
        lines.append(words["place"])
    for file in event.get("media", ()):
        lines += [f"[{file.get('file_name') or words['file']}]", file.get("caption", "")]
    for card in event.get("cards", ()):
        lines.append("\n".join(card[name] for name in ("title", "text", "url") if card.get(name)))
    return lines


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
