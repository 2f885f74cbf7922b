"""Schema revisions. `HEAD` is what this code needs; `schema.py` compares it with the store."""

from typing import Final

# Oldest first; every file in `versions/` appears here, so that asking whether a store is current needs no Alembic.
REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD: Final = REVISIONS[-1]
