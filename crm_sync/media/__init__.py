"""Files: checked, stored behind one port, found again through signed links, and deleted when their time is over."""

from crm_sync.media.library import SqlMediaLibrary
from crm_sync.media.links import MediaLinks
from crm_sync.media.stores import open_media_store

__all__ = ["MediaLinks", "SqlMediaLibrary", "open_media_store"]
