"""Edits of the store land in the files: only what changed, and the folder says the same as the store did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bot.edited_texts import EditedResponse, EditedText, with_edits
from bot.errors import InputError
from config.settings import SAMPLE_ASSISTANT
from crm_sync.models import StoredArticle
from frontdesk.assistant import load_assistant
from frontdesk.assistant_export import export_assistant
from nlu.articles import load_articles

NEW = StoredArticle("gifts", "en", "Gift: wrapping", "Yes, for 2 euros.", ("do you wrap # gifts",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLE_ASSISTANT, tmp_path / "shop"))


def test_edited_words_stand_in_the_file_and_nothing_else_changes(folder: Path) -> None:
    before = load_assistant(folder)
    lines = (folder / "domain.yml").read_text(encoding="utf-8").splitlines()
    edits = [
        EditedResponse("utter_greet", "en", (EditedText("Good day: {x} # no remark"), EditedText("Hello."))),
        EditedResponse("utter_greet", "zh", (EditedText("您好。"),)),
        EditedResponse("utter_gone", "en", (EditedText("Nobody says this."),)),
    ]
    done = export_assistant(folder, None, [], edits)
    assert done.files == ["domain.yml"]
    after = load_assistant(folder)
    expected = with_edits(before, edits).responses
    assert set(after.responses["utter_greet"]) == set(expected["utter_greet"])
    assert {name: said for name, said in after.responses.items() if name != "utter_greet"} == {
        name: said for name, said in before.responses.items() if name != "utter_greet"
    }
    written = (folder / "domain.yml").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line in written]
    assert len(kept) > len(lines) - 40
    assert export_assistant(folder, None, [], edits).files == ["domain.yml"]
    assert load_assistant(folder).responses == after.responses


def test_words_of_the_shared_files_get_a_block_of_their_own(folder: Path) -> None:
    before = load_assistant(folder)
    edits = [EditedResponse("utter_rephrase", "en", (EditedText("Say that again, please."),))]
    export_assistant(folder, None, [], edits)
    said = load_assistant(folder).responses
    assert [each.text for each in said["utter_rephrase"] if each.language == "en"] == ["Say that again, please."]
    others = [each.text for each in before.responses["utter_rephrase"] if each.language == "zh"]
    assert [each.text for each in said["utter_rephrase"] if each.language == "zh"] == others


def test_articles_are_written_changed_and_removed_and_keep_their_tags(folder: Path) -> None:
    old = load_articles(folder / "knowledge")[0]
    gone = load_articles(folder / "knowledge")[1]
    edited = StoredArticle(old.id, old.language, "A new title", "A new answer.", ("new question",))
    withdrawn = StoredArticle(gone.id, gone.language, gone.title, gone.answer, gone.questions, is_withdrawn=True)
    export_assistant(folder, None, [edited, withdrawn, NEW], [])
    found = {(each.id, each.language): each for each in load_articles(folder / "knowledge")}
    assert (gone.id, gone.language) not in found
    assert found["gifts", "en"].questions == ("do you wrap # gifts",)
    changed = found[old.id, old.language]
    assert (changed.title, changed.answer, changed.questions, changed.tags) == (
        "A new title", "A new answer.", ("new question",), old.tags,
    )  # fmt: skip


def test_another_folder_gets_a_copy_and_an_existing_one_is_left_alone(folder: Path, tmp_path: Path) -> None:
    export_assistant(folder, tmp_path / "copy", [NEW], [])
    assert any(each.id == "gifts" for each in load_articles(tmp_path / "copy" / "knowledge"))
    assert not any(each.id == "gifts" for each in load_articles(folder / "knowledge"))
    with pytest.raises(InputError):
        export_assistant(folder, tmp_path / "copy", [NEW], [])


def test_an_article_of_a_table_is_named_and_left_alone(folder: Path) -> None:
    table = folder / "knowledge" / "more.csv"
    table.write_text("id,language,title,answer\ngifts,en,Gifts,Yes.\n", encoding="utf-8")
    done = export_assistant(folder, None, [NEW], [])
    assert done.files == []
    assert "gifts (en)" in done.left[0]
