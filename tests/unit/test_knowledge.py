"""Articles: reading them, finding them, and knowing when an answer is good enough."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from bot.errors import AssistantInvalid
from bot.types import ArticleDetails, Language, ReplyButton
from nlu.article_fields import Article
from nlu.articles import load_articles
from nlu.knowledge import ArticleIndex, Question, evaluate_articles, evaluate_index

SAMPLE = Path(__file__).parents[2] / "config" / "assistants" / "shop" / "knowledge"
MARKDOWN = """---
id: parking
language: en
title: Can I park at the store?
questions:
  - where to leave my car
tags: [store]
---
Yes, two hours are free.
"""


def an_article(id_: str, title: str, answer: str = "Answer.", *questions: str, language: str = "en") -> Article:
    return Article(id_, language, title, answer, questions)


SHOP = (
    an_article("parking", "Can I park at the store?", "Two hours are free.", "where can I leave my car"),
    an_article("hours", "When are you open?", "From 10:00 to 21:00.", "opening hours", "are you open on Sunday"),
    an_article("refund", "When do I get my money back?", "In 3 to 5 days.", "how long does a refund take"),
    an_article("hours", "你们几点开门？", "10:00 到 21:00。", "营业时间", language="zh"),
    an_article("refund", "退款多久到账？", "三到五天。", "什么时候能收到退款", language="zh"),
)


def test_markdown_folder_is_read_in_depth(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "parking.md").write_text(MARKDOWN, encoding="utf-8")
    (tmp_path / "questions.csv").write_text("question,article,language\na,parking,en\n", encoding="utf-8")
    assert load_articles(tmp_path) == [
        Article(
            "parking",
            "en",
            "Can I park at the store?",
            "Yes, two hours are free.",
            ("where to leave my car",),
            ArticleDetails(tags=("store",)),
        )
    ]


def test_tables_and_json_lines_carry_the_same(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text('\ufeffid,language,title,answer,questions\np,en,Park?,Yes.,"car|van"\n', encoding="utf-8")
    lines = tmp_path / "a.jsonl"
    lines.write_text(
        '{"id":"p","language":"en","title":"Park?","answer":"Yes.","questions":["car","van"]}\n\n', encoding="utf-8"
    )
    assert load_articles(table) == load_articles(lines) == [Article("p", "en", "Park?", "Yes.", ("car", "van"))]


@pytest.mark.parametrize(
    ("name", "content", "line", "reason"),
    [
        ("a.md", "no front matter", 1, "front matter"),
        ("a.md", "---\nid: x\n", 1, "not closed"),
        ("a.md", "---\nid: x\nlanguage: en\ntitle: [\n---\nbody", 4, "not YAML"),
        ("a.md", "---\nid: x\nlanguage: en\n---\nbody", 1, "`title` is missing"),
        ("a.md", "---\nid: x\nlanguage: en\ntitle: t\n---\n", 1, "`answer` is missing"),
        ("a.md", "---\nid: x\nlanguage: fr\ntitle: t\n---\nbody", 1, "must be zh or en"),
        ("a.csv", "id,title\nx,y\n", 1, "column `language`"),
        ("a.jsonl", '{"id": 1,}\n', 1, "not JSON"),
        ("a.xlsx", "PK", None, "not an .xlsx workbook"),
        ("a.pdf", "x", None, "must be .md"),
    ],
)
def test_mistakes_are_named_with_file_line_and_reason(
    tmp_path: Path, name: str, content: str, line: int | None, reason: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AssistantInvalid) as caught:
        load_articles(path)
    assert (caught.value.file, caught.value.line) == (name, line)
    assert reason in caught.value.reason


def test_a_table_as_excel_saves_it_in_china_is_read_and_named(tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    read_as: dict[str, str] = {}
    table.write_bytes("id,language,title,answer\np,zh,可以停车吗,可以。\n".encode("gbk"))
    assert (
        load_articles(table, read_as=read_as) == load_articles(tmp_path) == [Article("p", "zh", "可以停车吗", "可以。")]
    )
    assert read_as == {"a.csv": "GB18030"}


def test_the_same_id_twice_in_a_language_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(MARKDOWN, encoding="utf-8")
    (tmp_path / "b.md").write_text(MARKDOWN, encoding="utf-8")
    with pytest.raises(AssistantInvalid, match="`parking`"):
        load_articles(tmp_path)


@pytest.mark.parametrize(
    ("text", "language", "article"),
    [
        ("is there somewhere for my car", "en", "parking"),
        ("what time do you open tomorrow", "en", "hours"),
        ("waiting for my refund", "en", "refund"),
        ("请问营业到几点", "zh", "hours"),
        ("退款怎么還沒收到", "zh", "refund"),
    ],
)
def test_finds_the_article_in_the_customers_words(text: str, language: str, article: str) -> None:
    assert ArticleIndex(SHOP).ask(text, language=language)[0].article_id == article  # type: ignore[arg-type]


def test_typed_title_is_answered_for_sure() -> None:
    hit = ArticleIndex(SHOP).ask("WHEN are you open", language="en")[0]
    assert (hit.article_id, hit.answer, hit.is_sure) == ("hours", "From 10:00 to 21:00.", True)


@pytest.mark.parametrize("text", ["", "。。。", "🫥", "xyzzy"])
def test_words_nobody_wrote_find_nothing(text: str) -> None:
    assert ArticleIndex(SHOP).ask(text, language="en") == ()


def test_language_and_top_are_kept() -> None:
    index = ArticleIndex(SHOP)
    assert {hit.language for hit in index.ask("退款 refund open", language="zh", top=5)} == {"zh"}
    assert len(index.ask("when do you open and refund money", language="en", top=2)) == 2
    assert index.ask("open", language="en", top=0) == ()
    assert ArticleIndex(()).ask("open", language="en") == ()


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_question_gets_scores_in_order(text: str) -> None:
    for language in ("zh", "en"):
        scores = [hit.score for hit in INDEX.ask(text, language=language, top=5)]  # type: ignore[arg-type]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


INDEX = ArticleIndex(SHOP)


def test_many_questions_are_answered_like_each_alone() -> None:
    index = ArticleIndex(SHOP)
    questions: list[tuple[str, Language]] = [
        ("can I leave my car", "en"), ("退款要多久", "zh"), ("", "en"), ("几点开门", "zh"), ("几点开门", "en"),
        ("Can I park at the store?", "en"),
    ]  # fmt: skip
    assert index.ask_many(questions) == [index.ask(text, language=language) for text, language in questions]
    assert index.ask_many([]) == []


def test_measures_are_those_of_the_ranks() -> None:
    asked = [Question("opening hours", "hours", "en"), Question("where to leave my car", "refund", "en")]
    report = evaluate_index(ArticleIndex(SHOP), asked)
    assert report["recall@1"] == 0.5
    assert report["recall@5"] >= 0.5
    assert report["questions"] == 2


def test_question_for_an_unknown_article_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(MARKDOWN, encoding="utf-8")
    questions = tmp_path / "questions.csv"
    questions.write_text("question,article,language\ncar?,garage,en\n", encoding="utf-8")
    with pytest.raises(AssistantInvalid, match="unknown article `garage`"):
        evaluate_articles(tmp_path, questions)


def test_sample_assistant_answers_most_paraphrases_and_is_rarely_wrong_when_sure() -> None:
    report = evaluate_articles(SAMPLE, SAMPLE / "questions.csv")
    assert report["recall@1"] >= 0.7
    assert report["recall@5"] >= 0.85
    assert report["sure_share"] >= 0.3
    assert report["sure_precision"] >= 0.9


# --- what an article says of itself -----------------------------------------------------------------------------------

DETAILS = ArticleDetails(
    audience="staff",
    valid_from=datetime(2026, 11, 1, tzinfo=UTC),
    valid_until=datetime(2026, 12, 1, tzinfo=UTC),
    tags=("car", "store"),
    media="https://example.org/map.png",
    buttons=(ReplyButton("Talk to us", "intent:human_handoff"),),
)
HEADER = (
    "id", "language", "title", "answer", "variants", "audience", "valid_from", "valid_until", "tags", "media", "buttons"
)  # fmt: skip
ROW = (
    "p", "en", "Park?", "Yes.", "car|van", "staff", "2026-11-01", "2026-12-01", "car|store",
    "https://example.org/map.png", "Talk to us=intent:human_handoff",
)  # fmt: skip


def _workbook(path: Path, *lines: Sequence[object]) -> Path:
    workbook = Workbook()
    for line in lines:
        workbook.active.append(list(line))
    workbook.save(path)
    return path


def test_every_format_carries_all_that_an_article_has(tmp_path: Path) -> None:
    sheet = _workbook(tmp_path / "a.xlsx", HEADER, (), (*ROW[:6], date(2026, 11, 1), *ROW[7:]))
    table = tmp_path / "a.csv"
    table.write_text(",".join(HEADER) + "\n" + ",".join(f'"{cell}"' for cell in ROW) + "\n", encoding="utf-8")
    lines = tmp_path / "a.jsonl"
    document = dict(zip(HEADER, ROW, strict=True)) | {
        "buttons": [{"label": "Talk to us", "value": "intent:human_handoff"}], "variants": ["car", "van"]
    }  # fmt: skip
    lines.write_text(json.dumps(document), encoding="utf-8")
    page = tmp_path / "a.md"
    fields = {name: value for name, value in document.items() if name != "answer"}
    page.write_text(f"---\n{json.dumps(fields)}\n---\nYes.\n", encoding="utf-8")
    expected = [Article("p", "en", "Park?", "Yes.", ("car", "van"), DETAILS)]
    assert load_articles(sheet) == load_articles(table) == load_articles(lines) == load_articles(page) == expected


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("audience", "martians", "`audience`"),
        ("valid_from", "soon", "`valid_from`"),
        ("valid_until", "2025-01-01", "after `valid_from`"),
        ("buttons", "Talk to us", "`buttons`"),
        ("title", None, "`title` is missing"),
    ],
)
def test_a_mistake_in_a_sheet_is_named_with_its_line(
    tmp_path: Path, column: str, value: str | None, reason: str
) -> None:
    row = [value if name == column else cell for name, cell in zip(HEADER, ROW, strict=True)]
    with pytest.raises(AssistantInvalid) as caught:
        load_articles(_workbook(tmp_path / "a.xlsx", HEADER, row))
    assert (caught.value.line, reason in caught.value.reason) == (2, True)


def test_customers_find_what_is_for_them_now() -> None:
    now = datetime(2026, 11, 15, tzinfo=UTC)
    clock = iter((now, now, datetime(2026, 12, 1, tzinfo=UTC)))
    index = ArticleIndex(
        (*SHOP, replace(SHOP[0], id="secret", title="Where do staff park?", details=DETAILS)), clock=lambda: next(clock)
    )
    found = [hit.article_id for hit in index.ask("where do staff park", language="en")]
    assert "secret" not in found
    assert found
    assert index.for_staff().ask("where do staff park", language="en")[0].article_id == "secret"
    assert index.for_staff().ask("where do staff park", language="en")[0].article_id != "secret"  # it is over


# --- edits ------------------------------------------------------------------------------------------------------------


def test_an_edit_answers_like_an_index_built_anew() -> None:
    changed = an_article("hours", "When are you open?", "From 9 to 22.", "how late can I shop")
    new = an_article("gifts", "Do you wrap gifts?", "Yes, for free.", "gift wrapping")
    before = ArticleIndex(SHOP)
    index = before.updated([changed, new], [("parking", "en")])
    assert index.ask("how late can I shop", language="en")[0].answer == "From 9 to 22."
    assert index.ask("opening hours", language="en")[0].answer != "From 10:00 to 21:00."
    assert index.ask("gift wrapping please", language="en")[0].article_id == "gifts"
    assert all(hit.article_id != "parking" for hit in index.ask("can I park my car", language="en", top=9))
    assert index.ask("营业时间", language="zh")[0].article_id == "hours"
    assert before.ask("can I park my car", language="en")[0].article_id == "parking"
    again = index.updated([an_article("gifts", "Do you wrap gifts?", "For one yuan.")])
    assert [hit.answer for hit in again.ask("do you wrap gifts", language="en") if hit.article_id == "gifts"] == [
        "For one yuan."
    ]


def test_many_edits_lead_to_a_new_shelf_and_nothing_is_lost() -> None:
    index = ArticleIndex(SHOP)
    for number in range(7):
        more = [an_article(f"n{number}-{each}", f"Topic number {number} {each} zork") for each in range(50)]
        index = index.updated(more)
    assert index.ask("topic number 6 49 zork", language="en")[0].article_id == "n6-49"
    assert index.ask("opening hours", language="en")[0].article_id == "hours"


def test_an_index_with_many_edits_answers_like_one_built_anew_and_says_when_that_is_due() -> None:
    # More than are built anew at once, so that edits stay beside the shelf.
    index = ArticleIndex(an_article(f"s{number}", f"Shelf {number} {number * 7919 % 1601}") for number in range(1601))
    for number in range(9):
        edited = [an_article(f"s{number}", f"Edited {each} {number}") for each in range(2)]
        more = [an_article(f"n{number}-{each}", f"Topic number {number} {each} zork") for each in range(40)]
        index = index.updated([edited[number % 2], *more], [(f"s{800 + number}", "en"), (f"n{number - 1}-3", "en")])
    assert index.is_due
    anew = index.rebuilt()
    assert not anew.is_due
    for asked in ("topic number 7 21 zork", "shelf 1003", "edited 1 7", "shelf 804 zork", "topic 4 3"):
        now, then = ([hit.title for hit in each.ask(asked, language="en", top=1)] for each in (index, anew))
        assert now == then, asked
    assert anew.ask("topic number 4 3 zork", language="en")[0].article_id != "n4-3"  # it was taken away


def test_building_anew_can_be_given_up() -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        ArticleIndex(SHOP).rebuilt(stop)


def test_a_language_whose_articles_are_all_withdrawn_finds_nothing() -> None:
    gone = [an_article(f"s{number}", f"Shelf {number}") for number in range(400)]
    index = ArticleIndex([*gone, *SHOP]).updated([], [(each.id, "en") for each in (*gone, *SHOP)])
    assert index.ask("shelf 7", language="en") == index.rebuilt().ask("shelf 7", language="en") == ()
    assert not index.is_due


def test_a_language_may_begin_and_end_with_an_edit() -> None:
    index = ArticleIndex(()).updated([an_article("hours", "When are you open?", "At ten.")])
    assert index.ask("when are you open", language="en")[0].article_id == "hours"
    assert index.updated([], [("hours", "en")]).ask("when are you open", language="en") == ()
