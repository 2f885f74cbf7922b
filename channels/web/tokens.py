"""Who a web visitor is: signed, expiring session tokens, and the shop's own signature for its logged-in customers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from bot.errors import SignatureInvalid

CLOCK_SKEW_S = 300  # how far a shop's `issued_at` may be from our clock, either way
MAX_TOKEN_CHARS = 2048  # a token with the longest user id and name stays below; anything longer is not ours
_PREFIX = "fd1."
_CACHE_SIZE = 20_000


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says. `user` is `v-…` for an anonymous visitor and `u-<id>` for a customer the shop vouched for."""

    account: str
    user: str
    expires_at: int  # Unix seconds
    name: str = ""
    language: str = ""  # BCP 47 tag of the page or browser


def new_visitor() -> str:
    """A user id nobody can guess (144 random bits)."""
    return "v-" + secrets.token_urlsafe(18)


class SessionTokens:
    """Issues with the first key, accepts any of them, so that keys can be rotated without logging visitors out."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or not all(keys):
            raise ValueError("session tokens need at least one non-empty secret key")
        # Derived, so that a token can never be confused with anything else signed by the same secret key.
        self._keys = [hmac.digest(key, b"frontdesk web session", "sha256") for key in keys]
        self._verified: dict[str, Session] = {}

    def issue(self, session: Session) -> str:
        """A token that `verify` turns back into the same session."""
        fields = [session.account, session.user, session.expires_at, session.name, session.language]
        payload = base64.urlsafe_b64encode(orjson.dumps(fields)).rstrip(b"=")
        return f"{_PREFIX}{payload.decode()}.{self._sign(self._keys[0], payload)}"

    def verify(self, token: str) -> Session:
        """The session of a genuine token; whether it is over, and whose account it is, is for the caller to check.

        Raises: SignatureInvalid for anything we did not sign.
        """
        known = self._verified.get(token)
        if known is not None:
            return known
        session = self._verify(token)
        if len(self._verified) >= _CACHE_SIZE:
            self._verified.clear()  # cheaper than keeping an order; a genuine token costs 10 µs to verify again
        self._verified[token] = session
        return session

    def _verify(self, token: str) -> Session:
        if len(token) > MAX_TOKEN_CHARS or not token.startswith(_PREFIX) or not token.isascii():
            raise SignatureInvalid("not a session token")
        payload, _, signature = token[len(_PREFIX) :].partition(".")
        signed = payload.encode()
        if not any(hmac.compare_digest(self._sign(key, signed), signature) for key in self._keys):
            raise SignatureInvalid("session token was not signed here")
        account, user, expires_at, name, language = orjson.loads(base64.urlsafe_b64decode(payload + "=="))
        return Session(account, user, expires_at, name, language)

    @staticmethod
    def _sign(key: bytes, payload: bytes) -> str:
        return base64.urlsafe_b64encode(hmac.digest(key, payload, "sha256")).rstrip(b"=").decode()


def sign_identity(secret: str, *, account: str, user: str, issued_at: int, name: str = "") -> str:
    """The hex HMAC-SHA256 a shop's server computes for its logged-in customer (see docs/web.md).

    Signed are the lines account, user, issued_at (Unix seconds) and, only when given, name; joined by "\\n", UTF-8.
    """
    lines = [account, user, str(issued_at), *([name] if name else [])]
    return hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def verify_identity(
    secret: str, *, account: str, user: str, issued_at: int, name: str, signature: str, now: float
) -> None:
    """Returns when the shop vouches for this user now.

    Raises: SignatureInvalid when the signature is wrong, or older or newer than CLOCK_SKEW_S.
    """
    expected = sign_identity(secret, account=account, user=user, issued_at=issued_at, name=name)
    try:
        given = binascii.unhexlify(signature)
    except (binascii.Error, ValueError) as exc:
        raise SignatureInvalid("the signature is not hexadecimal") from exc
    if not hmac.compare_digest(binascii.unhexlify(expected), given):
        raise SignatureInvalid("the signature does not match")
    if abs(now - issued_at) > CLOCK_SKEW_S:
        raise SignatureInvalid(f"issued_at is more than {CLOCK_SKEW_S} s away from this server's clock")
