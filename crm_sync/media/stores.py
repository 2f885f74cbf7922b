"""Where files are kept, by setting: a local folder, or an S3-compatible service."""

from __future__ import annotations

from bot.errors import Misconfigured
from bot.ports import MediaStore
from config.settings import MediaSettings
from crm_sync.media.local import LocalMediaStore


def open_media_store(settings: MediaSettings) -> MediaStore:
    """The store; nothing is connected or created before the first file. Raises: Misconfigured."""
    if not settings.s3_endpoint:
        return LocalMediaStore(settings.folder)
    if not settings.s3_bucket:
        raise Misconfigured("FRONTDESK_MEDIA__S3_BUCKET", "must be set together with FRONTDESK_MEDIA__S3_ENDPOINT")
    from crm_sync.media.s3 import S3MediaStore  # costs memory that a local folder does not need

    return S3MediaStore(
        settings.s3_endpoint,
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key,
    )
