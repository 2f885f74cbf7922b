"""Signatures and AES of WeChat's and WeCom's callbacks. Whatever is wrong with a request has one of two names.

`SignatureInvalid`: it cannot be shown to come from the vendor, nothing of it may be believed. `PayloadInvalid`: it is
signed, but cannot be read. wechatpy's own check compares in variable time and fails on odd input in a dozen ways, so
only its key format is kept: SHA-1 over the sorted parts; AES-256-CBC with the key's first 16 bytes as IV over
random(16) + length(4, big endian) + words + receiver id, padded to 32 bytes as PKCS#7 does.
Source: developers.weixin.qq.com, "消息加解密说明" (checked 2026-11).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import struct
from collections import OrderedDict
from datetime import datetime

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.errors import Misconfigured, PayloadInvalid, SignatureInvalid

_BLANKS = b" \t\n\r\x0b\x0c"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

BLOCK = 32  # bytes that the padding fills up to; AES itself needs 16
_RANDOM = 16  # bytes before the length
_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")

# The vendor delivers a message three times within 15 s and stamps each request anew; the rest is for clocks that are
# off. What is older was recorded by somebody.
TOLERANCE_S = 600
MAX_NONCES = 20_000  # remembered at once: 33 messages a second over the whole tolerance


def signature(*parts: str) -> str:
    """What the vendor puts beside a request made of these parts (token, timestamp, nonce and, encrypted, the words)."""
    return hashlib.sha1("".join(sorted(parts)).encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def check_signature(given: str, *parts: str) -> None:
    """`given` belongs to `parts`; compared in constant time. Raises: SignatureInvalid."""
    if not _is_signed(given, *parts):
        raise SignatureInvalid("the signature is missing or wrong")


def _is_signed(given: str, *parts: str) -> bool:
    # As bytes, because compare_digest refuses strings that are not ASCII.
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), signature(*parts).encode())


def encrypted_parts(body: bytes) -> list[str]:
    """What stands in an `Encrypt` element and may be base64, without its blanks; nothing is parsed.

    Anybody may send a body, so this looks at each byte a fixed number of times, whatever it holds.
    """
    found = []
    for piece in body.split(b"<Encrypt>")[1:]:
        inner, end, _ = piece.partition(b"</Encrypt>")
        sealed = inner.translate(None, _BLANKS).removeprefix(b"<![CDATA[").removesuffix(b"]]>")
        if end and sealed and not sealed.translate(None, _BASE64):
            found.append(sealed.decode("ascii"))
    return found


def proven_part(body: bytes, given: str, *parts: str) -> str:
    """The encrypted part of `body` that the signature `given` covers together with `parts`.

    In compatible mode a customer's own words stand beside it in clear and may look like another; what is signed is the
    vendor's. Raises: SignatureInvalid when there is not exactly one such part.
    """
    proven = [sealed for sealed in encrypted_parts(body) if _is_signed(given, *parts, sealed)]
    if len(proven) != 1:
        raise SignatureInvalid("there is not one encrypted part that the signature belongs to")
    return proven[0]


def check_time(timestamp: str, now: datetime, tolerance_s: float = TOLERANCE_S) -> None:
    """`timestamp` (Unix seconds, as signed) lies within `tolerance_s` of `now`; 0 accepts any.

    Raises: SignatureInvalid. A clock of ours that is off ends here too: `frontdesk doctor` compares it.
    """
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureInvalid("the timestamp is no number")
    if tolerance_s and abs(now.timestamp() - int(timestamp)) > tolerance_s:
        raise SignatureInvalid("the timestamp is too old or too far ahead")


class NonceMemory:
    """Which body came with which nonce. A plain request's signature does not cover its body: whoever has seen one
    could send any body with it. The same body again is the vendor's redelivery, which the inbox knows by its key.

    Kept in this process for as long as timestamps are accepted; with several web processes each has its own.
    """

    def __init__(self, tolerance_s: float = TOLERANCE_S) -> None:
        self._tolerance_s = tolerance_s
        self._seen: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()

    def check(self, timestamp: str, nonce: str, body: bytes, now: datetime) -> None:
        """This nonce came with no other body. Raises: SignatureInvalid."""
        at, digest, key = now.timestamp(), hashlib.sha256(body).digest(), (timestamp, nonce)
        while self._seen and (
            len(self._seen) >= MAX_NONCES or next(iter(self._seen.values()))[0] < at - 2 * self._tolerance_s
        ):
            self._seen.popitem(last=False)
        _, first = self._seen.setdefault(key, (at, digest))
        if not hmac.compare_digest(first, digest):
            raise SignatureInvalid("the nonce was used for another message")


class Envelope:
    """Opens and seals what is encrypted for one receiver: an app id (WeChat), a corp id (WeCom)."""

    def __init__(self, service: str, aes_key: str, receiver_id: str) -> None:
        """Raises: Misconfigured when `aes_key` (EncodingAESKey) is not 43 characters of base64."""
        if not _AES_KEY.fullmatch(aes_key):
            raise Misconfigured(service, "aes_key (EncodingAESKey) must be the 43 letters and digits of the console")
        # The last character carries two bits too many, which real keys set: not strict here.
        key = base64.b64decode(aes_key + "=")
        self._cipher = Cipher(algorithms.AES256(key), modes.CBC(key[:16]))
        self._receiver_id = receiver_id.encode()

    def open(self, encrypted: str) -> bytes:
        """The words inside.

        Raises: PayloadInvalid, also when they are meant for another receiver.
        """
        try:
            sealed = base64.b64decode("".join(encrypted.split()), validate=True)
        except (ValueError, binascii.Error):
            raise PayloadInvalid("the encrypted part is not base64") from None
        if not sealed or len(sealed) % (algorithms.AES.block_size // 8):
            raise PayloadInvalid("the encrypted part is cut off")
        decryptor = self._cipher.decryptor()
        padded = decryptor.update(sealed) + decryptor.finalize()
        pad = padded[-1]
        if not 1 <= pad <= BLOCK or pad > len(padded) or padded[-pad:] != bytes([pad]) * pad:
            raise PayloadInvalid("the encrypted part has a wrong padding: another key?")
        plain = padded[:-pad]
        start = _RANDOM + 4
        if len(plain) < start:
            raise PayloadInvalid("the encrypted part is too short")
        (length,) = struct.unpack(">I", plain[_RANDOM:start])
        if length > len(plain) - start:
            raise PayloadInvalid("the encrypted part says it is longer than it is")
        if not hmac.compare_digest(plain[start + length :], self._receiver_id):
            raise PayloadInvalid("the message is meant for another account")
        return plain[start : start + length]

    def seal(self, words: bytes) -> str:
        """`words` encrypted, in base64; different each time."""
        plain = secrets.token_bytes(_RANDOM) + struct.pack(">I", len(words)) + words + self._receiver_id
        pad = BLOCK - len(plain) % BLOCK
        encryptor = self._cipher.encryptor()
        return base64.b64encode(encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()).decode()
