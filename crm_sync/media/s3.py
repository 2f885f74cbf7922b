"""Files in a bucket of any service that speaks S3 (AWS, MinIO, Ceph, Aliyun OSS, Tencent COS)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from miniopy_async.api import Minio
from miniopy_async.error import MinioException, S3Error
from pydantic import SecretStr

from bot.errors import Misconfigured, NotFound, ServiceUnavailable
from crm_sync.media.links import KEY

_TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=5)  # seconds; well below the hour after which a try is swept
_LEAST_PART: Final = 5 * 1024 * 1024  # S3's smallest part of a multipart upload; we send every file as one
_WRONG: Final = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket", "InvalidBucketName",
     "AuthorizationHeaderMalformed", "PermanentRedirect"}
)  # fmt: skip


class S3MediaStore:
    """Implements `bot.ports.MediaStore`. Objects are named `media/<two characters>/<key>`."""

    def __init__(
        self, endpoint: str, *, bucket: str, region: str, access_key: SecretStr | None, secret_key: SecretStr | None
    ) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.username:
            raise Misconfigured("FRONTDESK_MEDIA__S3_ENDPOINT", "must look like https://s3.example.com")
        self._endpoint, self._bucket, self._region = parts, bucket, region
        self._access_key, self._secret_key = access_key, secret_key
        self._session: aiohttp.ClientSession | None = None
        self._client: Minio | None = None

    async def put(self, key: str, content: bytes, *, mime: str) -> None:
        """Raises: ServiceUnavailable, Misconfigured."""
        async with self._asking() as client:
            await client.put_object(
                self._bucket,
                self._name(key),
                io.BytesIO(content),
                len(content),
                content_type=mime,
                part_size=max(len(content), _LEAST_PART),
            )

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Raises: NotFound, ServiceUnavailable, Misconfigured."""
        async with self._asking() as client:
            response = await client.get_object(self._bucket, self._name(key), offset=start, length=length or 0)
            async with response:
                content: bytes = await response.read()
        return content

    async def delete(self, key: str) -> None:
        """Raises: ServiceUnavailable, Misconfigured."""
        async with self._asking() as client:
            await client.remove_object(self._bucket, self._name(key))

    async def check(self) -> str:
        """The bucket is there and we may use it. Raises: ServiceUnavailable, Misconfigured."""
        async with self._asking() as client:
            if not await client.bucket_exists(self._bucket):
                raise Misconfigured("FRONTDESK_MEDIA__S3_BUCKET", f"there is no bucket {self._bucket}")
        return f"bucket {self._bucket} at {self._endpoint.netloc}"

    async def close(self) -> None:
        """The connections are closed. Safe to call twice."""
        if self._session is not None:
            await self._session.close()
            self._session = self._client = None

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Minio]:
        """The client; what the library raises becomes one of ours, without the request in it (it names our key id)."""
        try:
            yield self._connected()
        except S3Error as exc:
            code = str(exc.code)
            if code == "NoSuchKey":
                raise NotFound("no such file") from exc
            if code in _WRONG:
                raise Misconfigured("FRONTDESK_MEDIA__S3_…", f"the service refuses: {code}") from exc
            raise ServiceUnavailable("S3", code) from exc
        except (MinioException, aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ServiceUnavailable("S3", type(exc).__name__) from exc

    def _connected(self) -> Minio:
        if self._client is None:
            # Our own session: the library's waits five minutes and tries five times, while whoever asks waits.
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
            self._client = Minio(
                self._endpoint.netloc,
                access_key=_secret(self._access_key),
                secret_key=_secret(self._secret_key),
                secure=self._endpoint.scheme == "https",
                region=self._region,
                session=self._session,
            )
        return self._client

    def _name(self, key: str) -> str:
        if not KEY.fullmatch(key):
            raise NotFound("no such file")
        return f"media/{key[:2]}/{key}"


def _secret(value: SecretStr | None) -> Any:
    return None if value is None else value.get_secret_value()
