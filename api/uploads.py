"""Files in a body of JSON, as base64: they have the idempotency, the refusals and the guard of every other write."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import Annotated, Final

from pydantic import Field

from api.fields import Given, Name
from api.problems import Problem

MOST_BYTES: Final = 20_000_000  # of a file
# Only these take bodies as long as a file; every other one has the limit of the settings.
PLACES: Final = re.compile(r"/conversations/\d{1,19}/files|/audience-lists/upload")
MOST_BODY: Final = MOST_BYTES * 4 // 3 + 10_000


class FileGiven(Given):
    """`content` is base64 (RFC 4648, 4); the file has at most 20,000,000 bytes."""

    file_name: Name
    content: Annotated[str, Field(min_length=1, max_length=MOST_BODY, json_schema_extra={"contentEncoding": "base64"})]

    def bytes(self) -> bytes:
        """What the file holds. Raises: Problem."""
        try:
            found = b64decode(self.content, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Problem("invalid", "content is no base64") from error
        if not 0 < len(found) <= MOST_BYTES:
            raise Problem("too-large" if found else "invalid", f"a file has 1 to {MOST_BYTES} bytes")
        return found
