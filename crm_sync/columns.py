"""Column types and clauses that mean the same on SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Boolean, Connection, Dialect, Float, Integer, Text, bindparam, literal_column
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# SQLite only counts up a column whose type is exactly INTEGER.
Id = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python; integer microseconds since 1970 on SQLite, timestamptz on PostgreSQL.

    Raises: ValueError for a naive datetime.
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return TIMESTAMP(timezone=True) if dialect.name == "postgresql" else BigInteger()

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value if dialect.name == "postgresql" else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else EPOCH + timedelta(microseconds=value)


# PostgreSQL text holds neither NUL nor half a surrogate pair, and both drivers refuse the latter. Such characters are
# written as DLE and four hex digits, DLE itself likewise; everything else is stored as it is and can be searched.
_ESCAPE = "\x10"
_UNSTORABLE = re.compile("[\x00\x10\ud800-\udfff]")
_ESCAPED = re.compile("\x10([0-9a-f]{4})")


def escape_words(text: str) -> str:
    """`text` in a form both databases can hold; `unescape_words` gives back the same code points."""
    return _UNSTORABLE.sub(lambda match: f"{_ESCAPE}{ord(match[0]):04x}", text)


def unescape_words(text: str) -> str:
    """The code points given to `escape_words`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if _ESCAPE in text else text


class Words(TypeDecorator[str]):
    """Text from outside, kept code point for code point whatever it holds."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else escape_words(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unescape_words(value)


def dump_json(document: Any) -> str:
    """JSON text of dicts, lists, dataclasses, numbers and any text (NUL and lone surrogates become escapes)."""
    try:
        return orjson.dumps(document).decode()
    except TypeError:  # orjson.JSONEncodeError: lone surrogates, or whole numbers beyond 64 bits
        return json.dumps(document, default=_plain, ensure_ascii=True)


def load_json(text: str | bytes) -> Any:
    """The document given to `dump_json`."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # escapes of lone surrogates, which only the standard library reads
        return json.loads(text)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value)


class Document(TypeDecorator[Any]):
    """A JSON document. TEXT on both databases, because JSONB refuses the NUL that a customer may well write."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else dump_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else load_json(value)


class _ListOf(TypeDecorator[Sequence[Any]]):
    """A list travelling as one parameter: JSON on SQLite, an array on PostgreSQL."""

    impl = Text
    cache_ok = True
    element: TypeEngine[Any]

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return ARRAY(self.element) if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        listed = list(value or ())
        return listed if dialect.name == "postgresql" else orjson.dumps(listed).decode()


class _Ids(_ListOf):
    cache_ok = True
    element = BigInteger()


class _Keys(_ListOf):
    cache_ok = True
    element = Text()


class _OneOf(FunctionElement[bool]):
    """Column and list parameter: true when the column's value is in the list."""

    name = "one_of"
    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # else SQLite is given "(…) = 1", for which it uses no index


@compiles(_OneOf, "postgresql")
def _one_of_postgresql(element: _OneOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, listed = element.clauses
    return f"{compiler.process(column, **kw)} = ANY ({compiler.process(listed, **kw)})"


@compiles(_OneOf, "sqlite")
def _one_of_sqlite(element: _OneOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, listed = element.clauses
    values = f"SELECT value FROM json_each({compiler.process(listed, **kw)})"  # noqa: S608 - a bound parameter
    return f"{compiler.process(column, **kw)} IN ({values})"


class _SecondsBetween(FunctionElement[float]):
    """Two moments: seconds from the first to the second, null where either is."""

    name = "seconds_between"
    type = Float()
    inherit_cache = True


@compiles(_SecondsBetween, "postgresql")
def _seconds_postgresql(element: _SecondsBetween, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = (compiler.process(each, **kw) for each in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM {second} - {first}) AS DOUBLE PRECISION)"


@compiles(_SecondsBetween, "sqlite")
def _seconds_sqlite(element: _SecondsBetween, compiler: SQLCompiler, **kw: Any) -> str:
    first, second = (compiler.process(each, **kw) for each in element.clauses)
    return f"(({second} - {first}) / 1000000.0)"


def seconds_between(first: ColumnElement[Any], second: ColumnElement[Any]) -> ColumnElement[Any]:
    """How long it is from one moment to another; null where either is unknown."""
    return _SecondsBetween(first, second)


def id_in(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """True where `column` is one of the integers bound to `parameter`; the statement's text is always the same."""
    return _OneOf(column, bindparam(parameter, type_=_Ids()))


def key_in(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """True where `column` is one of the plain strings bound to `parameter`."""
    return _OneOf(column, bindparam(parameter, type_=_Keys()))


def is_state(column: ColumnElement[Any], *states: str) -> ColumnElement[bool]:
    """True where `column` is one of these states, written out: a partial index is used for nothing else.

    States are names from this code, never from outside.
    """
    named: list[ColumnElement[Any]] = [literal_column(f"'{state}'") for state in states]
    return column == named[0] if len(named) == 1 else column.in_(named)


def is_filled(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """True where `column` is not empty, written so that a partial index on filled values is used."""
    return column != literal_column("''")


def digest_key(*parts: str) -> str:
    """22 characters that stand for `parts`: natural keys from outside can be of any length and content.

    128 bits of BLAKE2b over length-prefixed UTF-8.
    """
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    whole = b"".join([b"%d:%b" % (len(part), part) for part in encoded])
    return urlsafe_b64encode(hashlib.blake2b(whole, digest_size=16).digest())[:22].decode()


def is_postgres(conn: Connection) -> bool:
    """True on PostgreSQL, False on SQLite; there is no third."""
    return conn.dialect.name == "postgresql"
