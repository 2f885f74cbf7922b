"""Made-up people and CSV files for the samples of the assistants: the same files every time they are made.

Names, numbers and addresses belong to nobody: mobile numbers are from the block 1380000 that no exchange serves and,
for English speakers, from the range Ofcom keeps free for fiction; e-mail addresses are under example.com.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Asia/Shanghai")
TODAY = datetime(2026, 3, 1, 12, tzinfo=ZONE)  # the sample ends here; transcripts begin on the day after
CUSTOMER_COLUMNS = ("key", "name", "phone", "email", "language", "timezone", "credit_class", "tags")
ASSET_COLUMNS = ("key", "customer_key", "kind", "name", "since", "until")
VISIT_COLUMNS = ("key", "customer_key", "site", "kind", "at", "amount", "currency", "items", "asset_key")
DUE_COLUMNS = ("key", "customer_key", "kind", "amount", "currency", "due_on", "paid_on", "asset_key")
SITE_COLUMNS = (
    "key", "name_zh", "name_en", "kind", "latitude", "longitude", "address", "phone", "timezone", "calendar",
    "skills", "languages", "capacity",
)  # fmt: skip
ORDER_COLUMNS = ("order_number", "name", "phone", "status", "placed_at", "expected_at", "items", "amount", "currency",
                 "store")  # fmt: skip


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余"
    "于杜叶程魏苏吕丁任卢姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫段雷"
)
_GIVEN = _names("""
伟 芳 娜 敏 静 磊 军 洋 勇 艳 杰 娟 涛 明 超 秀兰 霞 平 刚 桂英 立群 文博 雨桐 子涵 浩然 思远 嘉怡 晓东 志强 海燕
建国 丽华 春梅 国栋 佳宁 一鸣 若溪 俊杰 欣妍 宏伟 雪梅 永强 慧敏 天宇 梦琪 少华 玉珍 振宇 书瑶 凯 琳 鹏 倩 斌 颖
宁 悦 航 蕾 旭 莹 晨 丹 毅 萍 博 婷 楠 峰 璐
""")
_FIRST = _names(
    "Hannah Oliver Grace James Amelia Daniel Sofia Peter Lucy Martin Nadia Thomas Irene Samuel Clara Victor"
)
_LAST = _names("Brooks Hartley Quinn Mercer Lindqvist Okafor Novak Ferris Hale Moreno Petrov Ashdown Keller Byrne")


@dataclass(frozen=True, slots=True)
class Person:
    """One customer as every sample has them; what a business adds comes as columns of its own."""

    key: str
    name: str
    phone: str
    language: str = "zh"
    credit_class: str = "B"
    tags: str = ""

    def row(self) -> dict[str, str]:
        return {
            "key": self.key,
            "name": self.name,
            "phone": self.phone,
            "email": f"{self.key}@example.com",
            "language": self.language,
            "timezone": "Asia/Shanghai",
            "credit_class": self.credit_class,
            "tags": self.tags,
        }


def people(random: Random, count: int, known: Mapping[str, Person], *, english: float = 0.12) -> list[Person]:
    """`count` customers c-0001, c-0002 …; those in `known` (transcripts tell of them) are as given."""
    found = []
    for at in range(1, count + 1):
        key = f"c-{at:04d}"
        speaks_english = random.random() < english
        if speaks_english:
            name = f"{random.choice(_FIRST)} {random.choice(_LAST)}"
        else:
            name = random.choice(_SURNAMES) + random.choice(_GIVEN)
        credit = random.choices("ABCD", weights=(25, 55, 15, 5))[0]
        person = Person(
            key, name, phone(at, "en" if speaks_english else "zh"), "en" if speaks_english else "zh", credit
        )
        found.append(known.get(key, person))
    return found


def phone(number: int, language: str = "zh") -> str:
    """A number nobody has; different for each `number` below 1,000 (English) or 10,000 (Chinese)."""
    return f"+447700900{number:03d}" if language == "en" else f"+861380000{number:04d}"


def before(random: Random, days: float, spread: float = 0.0) -> datetime:
    """A moment in opening hours about `days` before the sample's today."""
    day = TODAY - timedelta(days=max(0.0, days + random.uniform(-spread, spread)))
    return day.replace(
        hour=random.randint(8, 17), minute=random.choice((0, 10, 20, 30, 40, 50)), second=0, microsecond=0
    )


def write(folder: Path, name: str, columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """`folder/name.csv` with these columns; what a row lacks is empty. Raises: ValueError for an unknown column."""
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file that lies beside a script, for what is written by hand."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def folder_from_command_line(what: str) -> Path:
    """The folder named on the command line, made when there is none."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("folder", type=Path, help="where the CSV files go")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    return folder
