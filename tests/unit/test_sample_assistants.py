"""The assistants that ship as samples hold what a newcomer is promised: words, articles, made-up customers."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nlu.articles import load_articles

ASSISTANTS = Path(__file__).parents[2] / "config" / "assistants"
WITH_SAMPLES = sorted(path.parents[1] for path in ASSISTANTS.glob("*/sample/make.py"))
LANGUAGES = ("zh", "en")

pytestmark = pytest.mark.parametrize("folder", WITH_SAMPLES, ids=lambda folder: folder.name)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def made(folder: Path, out: Path) -> dict[str, list[dict[str, str]]]:
    script = folder / "sample" / "make.py"
    subprocess.run([sys.executable, script, out], check=True, cwd=ASSISTANTS.parents[1], env={"PYTHONPATH": "."})
    return {path.stem: table(path) for path in out.glob("*.csv")}


def test_the_sample_is_the_same_each_time_and_its_parts_fit(folder: Path, tmp_path: Path) -> None:
    first, again = made(folder, tmp_path / "first"), made(folder, tmp_path / "again")
    assert first == again
    customers, sites = ({row["key"] for row in first[name]} for name in ("customers", "sites"))
    assert len(customers) == len(first["customers"]) >= 200
    phones = [row["phone"] for row in first["customers"]]
    assert len(set(phones)) == len(phones)
    assets = {row["key"] for row in first["assets"]}
    assert len(assets) == len(first["assets"])
    for name in ("assets", "visits", "dues"):
        assert {row["customer_key"] for row in first[name]} <= customers
    assert {row["site"] for row in first["visits"]} <= sites
    for name in ("visits", "dues"):
        assert {row["asset_key"] for row in first[name]} - {""} <= assets


def test_there_are_articles_on_forty_topics_in_both_languages(folder: Path) -> None:
    articles = load_articles(folder / "knowledge")
    topics = Counter(article.id for article in articles)
    assert len(topics) >= 40
    assert set(topics.values()) == {len(LANGUAGES)}
    questions = table(folder / "knowledge" / "questions.csv")
    assert {row["article"] for row in questions} == set(topics)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_meaning_has_sentences_nobody_trained_on(folder: Path, language: str) -> None:
    counts = Counter(row["intent"] for row in table(folder / "tests" / f"paraphrases_{language}.csv"))
    assert len(counts) >= 15
    assert min(counts.values()) >= 5
