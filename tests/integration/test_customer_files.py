"""What staff get of a customer's files, what the person gets, and what is left after erasure."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.errors import InputError
from bot.types import CustomerId
from config.settings import MediaSettings
from crm_sync.customers import customer_record, find_customers
from crm_sync.erasure import export_customer
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.local import LocalMediaStore
from crm_sync.store import SqlStore
from frontdesk.customer_files import erase_with_files, save_files, with_links
from frontdesk.doctor_files import examine_files
from tests import media_files
from tests.media_library import FailingStore, files_in, library_in
from tests.store_steps import SetClock, said


async def _ann_with_files(store: SqlStore, library: SqlMediaLibrary) -> CustomerId:
    (hello,) = await store.accept([said("hello", user="ann")])
    await library.add(media_files.PDF, file_name="bill.pdf", conversation_id=hello.conversation_id)
    await library.add(b"words", conversation_id=hello.conversation_id)
    (customer,) = await find_customers(store.database, "web/default/ann")
    return customer


async def test_the_record_names_each_file_with_a_link_that_works(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media")
    record = await customer_record(store.database, await _ann_with_files(store, library))
    bill, words = with_links(record["files"], library, key="media_id")
    assert (bill["file_name"], words["file_name"]) == ("bill.pdf", "")
    asked = parse_qs(urlsplit(bill["link"]).query)
    library.verify_link(bill["media_id"], asked["expires"][0], asked["signature"][0])


async def test_the_export_brings_the_files_themselves(store: SqlStore, tmp_path: Path) -> None:
    clock = SetClock()
    library = library_in(store, tmp_path / "media", clock=clock, retention_days=1)
    document = await export_customer(store.database, await _ann_with_files(store, library))
    copies = tmp_path / "copies"
    saved = await save_files(document["media"], library, copies)
    assert {row["saved_as"]: (copies / row["saved_as"]).read_bytes() for row in saved} == {
        f"{saved[0]['id']}-bill.pdf": media_files.PDF,
        f"{saved[1]['id']}-text.plain": b"words",
    }
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files_in(copies))
    with pytest.raises(InputError):  # never over something that is there
        await save_files(document["media"], library, copies)
    clock.advance(days=1)
    await library.purge()
    assert [row["saved_as"] for row in await save_files(document["media"], library, tmp_path / "later")] == ["", ""]


async def test_erasing_deletes_the_files_at_once_and_says_so(store: SqlStore, tmp_path: Path) -> None:
    library = library_in(store, tmp_path / "media")
    receipt = await erase_with_files(store, library, await _ann_with_files(store, library))
    assert receipt["media_store"] == {"deleted": 2, "waiting": 0}
    assert receipt["tables"]["media"] == 2
    assert files_in(tmp_path / "media") == []


async def test_erasing_while_the_media_store_is_down_says_what_waits(store: SqlStore, tmp_path: Path) -> None:
    folder = tmp_path / "media"
    customer = await _ann_with_files(store, library_in(store, folder))
    down = FailingStore(LocalMediaStore(folder))
    library = library_in(store, folder, bytes_store=down)
    receipt = await erase_with_files(store, library, customer)
    assert receipt["media_store"] == {"deleted": 0, "waiting": 2}
    assert "down" in receipt["media_store_error"]
    down.is_down = False
    await library.purge()
    assert files_in(folder) == []


# --- doctor ---------------------------------------------------------------------------------------------------------


async def test_the_doctor_names_the_folder_and_its_room(store: SqlStore, tmp_path: Path) -> None:
    place, waiting = await examine_files(MediaSettings(folder=tmp_path / "media", max_bytes=1000), store)
    assert (place.is_broken, waiting.is_broken) == (False, False)
    assert "GB free" in place.finding
    assert files_in(tmp_path / "media") == []


@pytest.mark.parametrize(
    ("settings", "broken"),
    [
        ({"max_bytes": 10**15}, "media folder"),
        ({"s3_endpoint": "http://127.0.0.1:9", "s3_bucket": "files"}, "media bucket"),
        ({"s3_endpoint": "http://127.0.0.1:9"}, "media bucket"),
        ({"scan_command": "/nowhere/scanner"}, "virus scanner"),
        ({"scan_command": "false"}, "virus scanner"),
        ({"scan_command": "'"}, "virus scanner"),
        ({"speech_to_text": "unknown"}, "speech to text"),
    ],
)
async def test_the_doctor_names_what_is_broken_and_how_to_mend_it(
    store: SqlStore, tmp_path: Path, settings: dict[str, object], broken: str
) -> None:
    findings = await examine_files(MediaSettings.model_validate({"folder": tmp_path / "media", **settings}), store)
    (found,) = [finding for finding in findings if finding.is_broken]
    assert found.check == broken
    assert found.repair
