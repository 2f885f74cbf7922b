"""Both media stores keep the same promises: a real folder, and a real HTTP service that speaks S3."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import signal
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from bot.errors import Misconfigured, NotFound, ServiceUnavailable
from bot.ports import MediaStore
from config.settings import MediaSettings
from crm_sync.media.local import LocalMediaStore
from crm_sync.media.stores import open_media_store

BUCKET = "frontdesk-files"


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with urlopen(Request(f"{url}/{BUCKET}", method="PUT")):
        pass
    yield url
    server.stop()


def s3_settings(url: str, **fields: object) -> MediaSettings:
    keys = {"s3_access_key": SecretStr("key-id"), "s3_secret_key": SecretStr("very-secret")}
    return MediaSettings.model_validate({"s3_endpoint": url, "s3_bucket": BUCKET, **keys, **fields})


@pytest.fixture(params=["folder", "s3"])
async def media_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MediaStore]:
    if request.param == "folder":
        settings = MediaSettings(folder=tmp_path / "media")
    else:
        settings = s3_settings(request.getfixturevalue("s3_url"))
    opened = open_media_store(settings)
    yield opened
    await opened.close()


def _key() -> str:
    return secrets.token_urlsafe(24)


async def test_what_was_put_is_got_byte_for_byte(media_store: MediaStore) -> None:
    key, content = _key(), bytes(range(256)) * 40
    await media_store.put(key, content, mime="application/pdf")
    assert await media_store.get(key) == content


async def test_parts_can_be_got(media_store: MediaStore) -> None:
    key = _key()
    await media_store.put(key, b"0123456789", mime="text/plain")
    assert await media_store.get(key, start=3) == b"3456789"
    assert await media_store.get(key, start=3, length=4) == b"3456"
    assert await media_store.get(key, start=0, length=1) == b"0"
    assert await media_store.get(key, start=8, length=50) == b"89"


async def test_files_larger_than_one_part_arrive_whole(media_store: MediaStore) -> None:
    key, content = _key(), secrets.token_bytes(1024) * 6_000
    await media_store.put(key, content, mime="video/mp4")
    assert await media_store.get(key) == content


async def test_the_same_key_again_replaces_the_file(media_store: MediaStore) -> None:
    key = _key()
    await media_store.put(key, b"first", mime="text/plain")
    await media_store.put(key, b"second", mime="text/plain")
    assert await media_store.get(key) == b"second"


async def test_what_is_not_there_is_not_found(media_store: MediaStore) -> None:
    with pytest.raises(NotFound):
        await media_store.get(_key())


async def test_deleting_twice_is_deleting_once(media_store: MediaStore) -> None:
    key = _key()
    await media_store.put(key, b"x", mime="text/plain")
    await media_store.delete(key)
    await media_store.delete(key)
    with pytest.raises(NotFound):
        await media_store.get(key)


@pytest.mark.parametrize(
    "key", ["", "..", "../../../etc/passwd", "/etc/passwd", "a" * 31, "a" * 31 + "/", "a" * 31 + "\x00"]
)
async def test_nothing_but_our_own_keys_reaches_the_store(media_store: MediaStore, key: str) -> None:
    with pytest.raises(NotFound):
        await media_store.get(key)
    with pytest.raises(NotFound):
        await media_store.put(key, b"x", mime="text/plain")
    with pytest.raises(NotFound):
        await media_store.delete(key)


async def test_many_at_once(media_store: MediaStore) -> None:
    files = {_key(): secrets.token_bytes(2000) for _ in range(20)}
    await asyncio.gather(*(media_store.put(key, content, mime="image/png") for key, content in files.items()))
    assert await asyncio.gather(*(media_store.get(key) for key in files)) == list(files.values())


async def test_the_check_says_where_files_are_kept(media_store: MediaStore, tmp_path: Path) -> None:
    told = await media_store.check()
    assert str(tmp_path) in told or BUCKET in told
    assert "very-secret" not in told


# --- the folder -----------------------------------------------------------------------------------------------------


async def test_files_are_for_this_user_alone_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    folder, key = tmp_path / "media", _key()
    await LocalMediaStore(folder).put(key, b"x", mime="text/plain")
    (file,) = [path for path in folder.rglob("*") if path.is_file()]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.relative_to(folder) == Path(key[:2]) / key


async def test_a_file_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    """The system itself refuses the write half way, as a full disk does."""
    folder = tmp_path / "media"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(ServiceUnavailable):
            await LocalMediaStore(folder).put(_key(), bytes(300_000), mime="video/mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path for path in folder.rglob("*") if path.is_file()] == []


async def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Misconfigured) as caught:
        await LocalMediaStore(tmp_path / "file" / "media").check()
    assert "FRONTDESK_MEDIA__FOLDER" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_we_may_not_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir(mode=0o500)
    with pytest.raises(Misconfigured):
        await LocalMediaStore(tmp_path / "media").check()


# --- S3 -------------------------------------------------------------------------------------------------------------


async def test_a_service_that_is_down_is_unavailable_and_tells_no_secret() -> None:
    store = open_media_store(s3_settings("http://127.0.0.1:9"))
    for asking in (store.put(_key(), b"x", mime="text/plain"), store.get(_key()), store.delete(_key()), store.check()):
        with pytest.raises(ServiceUnavailable) as caught:
            await asking
        assert "secret" not in str(caught.value)
    await store.close()


async def test_a_bucket_that_is_not_there_is_named(s3_url: str) -> None:
    store = open_media_store(s3_settings(s3_url, s3_bucket="another-bucket"))
    with pytest.raises(Misconfigured) as caught:
        await store.put(_key(), b"x", mime="text/plain")
    assert "NoSuchBucket" in str(caught.value)
    with pytest.raises(Misconfigured):
        await store.check()
    await store.close()


@pytest.mark.parametrize(
    "endpoint", ["s3.example.com", "ftp://s3.example.com", "https://s3.example.com/path", "https://"]
)
def test_an_endpoint_that_is_no_address_is_named(endpoint: str) -> None:
    with pytest.raises(Misconfigured):
        open_media_store(s3_settings(endpoint))


def test_an_endpoint_without_a_bucket_is_named() -> None:
    with pytest.raises(Misconfigured):
        open_media_store(MediaSettings(s3_endpoint="https://s3.example.com"))
