"""The address of a callback is read as Starlette reads it."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams
from starlette.requests import Request

from channels.webhook import query_of

PIECES = st.text(st.sampled_from("ab=&%+ 4é;?/"), max_size=30)


@given(PIECES.map(lambda text: text.encode("utf-8")))
@example(b"signature=ab12&timestamp=1&nonce=2&openid=o1")
@example(b"echostr=a%2Bb%3D&nonce=1&nonce=2&empty=&alone")
@example(b"a=%ff+b")
def test_parameters_are_those_that_starlette_finds(query: bytes) -> None:
    request = Request({"type": "http", "query_string": query, "headers": []})

    assert dict(query_of(request)) == dict(QueryParams(query))
