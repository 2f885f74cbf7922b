"""The words and the look of the page a site works with."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from bot.types import Language

STYLE: Final = """
:root{--bg:#FFFFFF;--surface:#F6F7F9;--text:#1B1F24;--muted:#667085;--line:#E4E7EC;--accent:#1F6FEB;--good:#1A7F4B;
--warn:#B54708;--bad:#C01E2E;--on:#FFFFFF}
@media(prefers-color-scheme:dark){:root{--bg:#14161A;--surface:#1C1F24;--text:#E8EAED;--muted:#98A2B3;--line:#2C3138;
--accent:#5B9CFF;--good:#4CC38A;--warn:#F5A524;--bad:#FF6B76;--on:#14161A}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 -apple-system,"Segoe UI","PingFang SC",
"Microsoft YaHei","Noto Sans CJK SC",sans-serif;font-variant-numeric:tabular-nums}
main{max-width:560px;margin:0 auto;padding:16px 16px 32px}
h1{font-size:20px;margin:0 0 4px}h2{font-size:16px;margin:24px 0 8px;padding-top:16px;border-top:1px solid var(--line)}
p{margin:0 0 8px}.meta{color:var(--muted);font-size:12px}
.story{background:var(--surface);border-radius:6px;padding:12px;white-space:pre-wrap;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:4px 12px;margin:8px 0}dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
ul{list-style:none;margin:0;padding:0}li{padding:8px 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
.notice{border-left:4px solid var(--accent);background:var(--surface);padding:12px;border-radius:6px;margin:12px 0}
.good{border-color:var(--good)}.warn{border-color:var(--warn)}.bad{border-color:var(--bad)}
label{display:block;margin:8px 0 4px}
input,textarea,select{width:100%;font:inherit;font-size:16px;color:inherit;background:var(--bg);
border:1px solid var(--line);border-radius:6px;padding:12px}textarea{min-height:96px}
button{width:100%;min-height:44px;margin-top:8px;font:inherit;
font-size:16px;border-radius:6px;border:1px solid var(--accent);
background:var(--accent);color:var(--on)}button.plain{background:var(--bg);color:var(--accent)}
a{color:var(--accent)}summary{min-height:44px;padding:12px 0;color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none';"
        " base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Cache-Control": "no-store",
}
_WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("服务任务", "Service task"),
    "task": ("{site}的任务", "A task for {site}"),
    "case": ("事项", "The case"),
    "severity": ("紧急程度", "Urgency"),
    "since": ("登记时间", "Reported"),
    "category": ("类别", "Category"),
    "wish": ("客户诉求", "Customer's wish"),
    "place": ("位置", "Place"),
    "way": ("距离", "Distance"),
    "customer": ("客户", "Customer"),
    "name": ("姓名", "Name"),
    "phone": ("电话", "Phone"),
    "language": ("语言", "Language"),
    "asset": ("相关物品", "What it is about"),
    "earlier": ("以前的服务", "Earlier visits and repairs"),
    "done_before": ("这个事项此前的处理", "What was done about it before"),
    "reopened": ("客户为什么不满意", "Why it was opened again"),
    "none": ("没有记录", "Nothing on record"),
    "cases": ("以前的事项", "Earlier cases"),
    "files": ("客户发来的文件", "Files from the customer"),
    "accept": ("接受任务", "Accept"),
    "worker": ("您的姓名（客户会看到）", "Your name (the customer sees it)"),
    "report": ("报告进展", "Report progress"),
    "report_words": ("现在到了哪一步（客户会看到）", "How far it is (the customer sees it)"),
    "close": ("完成任务", "Close the task"),
    "cause": ("原因", "What caused it"),
    "remedy": ("处理方式", "What helped"),
    "unsure": ("不确定", "Not sure"),
    "close_words": ("做了什么（客户会看到）", "What was done (the customer sees it)"),
    "decline": ("无法处理，转给其他网点", "We cannot do it: pass it on"),
    "decline_words": ("原因（仅内部可见）", "Why (only colleagues see it)"),
    "send": ("提交", "Send"),
    "reported": ("已报告", "Reported so far"),
    "taken": ("{worker} 已于 {at} 接受。", "Accepted by {worker}, {at}."),
    "closed": ("任务已完成，谢谢。客户已收到通知。", "The task is closed. Thank you; the customer has been told."),
    "declined": ("已转给其他网点，您不需要再做什么。", "It was passed on. There is nothing more for you to do."),
    "need_name": ("请填写姓名，最多 60 个字。", "Please give a name of at most 60 characters."),
    "need_words": ("请填写内容，最多 2000 个字。", "Please write something, at most 2,000 characters."),
    "stale": (
        "这个任务刚才被别人更新了，您提交的内容没有保存。下面是现在的状态。",
        "Somebody else has just changed this task; what you sent was not kept. This is how it stands now.",
    ),
    "over": (
        "这个事项已经结束或不能再这样更改，您提交的内容没有保存。",
        "This case is over or cannot be changed like this; what you sent was not kept.",
    ),
    "forged": (
        "链接无效。请向派单的同事索取新链接。",
        "This link is not valid. Please ask whoever sent it for a new one.",
    ),
    "expired": (
        "链接已过期。请向派单的同事索取新链接。",
        "This link is over. Please ask whoever sent it for a new one.",
    ),
    "superseded": (
        "这个链接已被新链接代替，或任务已收回。",
        "A newer link has taken the place of this one, or the task was taken back.",
    ),
    "other": ("English", "中文"),
    "refused": ("无法打开", "Cannot be opened"),
    "too_large": ("内容太长，没有保存。", "That was too long and was not kept."),
}
SEVERITY: Final = {1: ("一般", "normal"), 2: ("较急", "raised"), 3: ("紧急", "urgent"), 4: ("非常紧急", "critical")}


def say(key: str, language: Language) -> str:
    """A word of the page in a language."""
    return _WORDS[key][0 if language == "zh" else 1]
