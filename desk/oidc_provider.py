"""An OpenID Connect provider over HTTP: found by its issuer, asked for tokens, believed only as far as its signature.

Sources: OpenID Connect Core 1.0 §3.1.3.7 (checking an ID token), Discovery 1.0 §4.3, RFC 7636 (PKCE), RFC 9207 (which
provider answered), RFC 8725 (algorithms are chosen by us, not by the token).
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import aiohttp

from bot.errors import BotError, Misconfigured, ServiceUnavailable

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

SERVICE: Final = "single sign-on"
ALGORITHMS: Final = ("RS256", "ES256")
LEEWAY_S: Final = 60  # between the provider's clock and ours
KEPT: Final = timedelta(hours=1)  # how long addresses and keys are believed without asking again
MOST_BYTES: Final = 1_000_000
LONGEST_SUBJECT: Final = 255  # characters, OpenID Connect Core §2
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class NotProven(BotError):
    """The answer does not prove who somebody is. `reason` names the check, and holds nothing of the answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not proven: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says of itself."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    sends_issuer: bool
    takes_basic: bool  # the client's secret in the Authorization header, else in the body


class OidcProvider:
    """One provider, where we are `client_id`. Connections are opened on first use; `close` gives them back."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        *,
        scopes: tuple[str, ...] = ("openid", "profile", "email"),
        timeout_s: float = 10.0,
    ) -> None:
        self.issuer, self.client_id, self.scopes = issuer, client_id, scopes
        self._secret, self._timeout_s = client_secret, timeout_s
        self._http: aiohttp.ClientSession | None = None
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._read_at = -KEPT.total_seconds()
        _secure(issuer)

    async def close(self) -> None:
        """Connections are closed."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def metadata(self) -> Metadata:
        """Where to go, as the provider says. Raises: ServiceUnavailable, Misconfigured."""
        now = asyncio.get_running_loop().time()
        if self._metadata is None or now - self._read_at >= KEPT.total_seconds():
            said = await self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
            if said.get("issuer") != self.issuer:  # else any provider could speak for another one
                raise Misconfigured(SERVICE, "the provider calls itself by another issuer than FRONTDESK_OIDC__ISSUER")
            methods = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
            self._metadata = Metadata(
                authorization_endpoint=_secure(said.get("authorization_endpoint")),
                token_endpoint=_secure(said.get("token_endpoint")),
                jwks_uri=_secure(said.get("jwks_uri")),
                sends_issuer=said.get("authorization_response_iss_parameter_supported") is True,
                takes_basic="client_secret_basic" in methods,
            )
            self._keys, self._read_at = None, now
        return self._metadata

    async def redeem(
        self, code: str, *, verifier: str, nonce: str, redirect_uri: str, answered_by: str, now: datetime
    ) -> Mapping[str, Any]:
        """The claims behind a code, all checked; `answered_by`: the parameter iss of the answer, "" without one.

        Raises: NotProven, ServiceUnavailable, Misconfigured.
        """
        found = await self.metadata()
        if answered_by != self.issuer and (answered_by or found.sends_issuer):
            raise NotProven("another provider answered")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        if found.takes_basic:  # RFC 6749 §2.3.1: both are form-encoded first
            pair = f"{quote(self.client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": self.client_id, "client_secret": self._secret}
        status, said = await self._call("POST", found.token_endpoint, data=form, headers=headers)
        if status == 401 or said.get("error") == "invalid_client":
            raise Misconfigured(SERVICE, "the provider refuses our client id and secret")
        token = said.get("id_token")
        if status != 200 or not isinstance(token, str):
            raise NotProven("code")
        return self._checked(await self._decoded(token), nonce, now)

    async def _decoded(self, token: str) -> dict[str, Any]:
        """The claims of a token that the provider signed."""
        from joserfc import jwt  # a fifth of what the console's first page loads, for desks with a provider
        from joserfc.errors import JoseError

        try:
            return dict(jwt.decode(token, await self._key_set(), algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, TypeError):
            fresh = await self._key_set(anew=True)  # the provider may have other keys by now
        try:
            return dict(jwt.decode(token, fresh, algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, TypeError) as exc:
            raise NotProven("signature") from exc

    def _checked(self, claims: dict[str, Any], nonce: str, now: datetime) -> dict[str, Any]:
        audience, subject, at = claims.get("aud"), claims.get("sub"), now.timestamp()
        audiences = audience if isinstance(audience, list) else [audience]
        expires, issued = claims.get("exp"), claims.get("iat")
        party = claims.get("azp")
        checks = {
            "iss": claims.get("iss") == self.issuer,
            "aud": self.client_id in audiences,
            "azp": party == self.client_id or (party is None and len(audiences) == 1),
            "exp": isinstance(expires, int | float) and at < expires + LEEWAY_S,
            "iat": isinstance(issued, int | float) and issued <= at + LEEWAY_S,
            "nonce": claims.get("nonce") == nonce,
            "sub": isinstance(subject, str) and 0 < len(subject) <= LONGEST_SUBJECT,
        }
        failed = next((name for name, holds in checks.items() if not holds), "")
        if failed:
            raise NotProven(failed)
        return claims

    async def _key_set(self, *, anew: bool = False) -> KeySet:
        if self._keys is None or anew:
            from joserfc.errors import JoseError
            from joserfc.jwk import KeySet

            said = await self._get((await self.metadata()).jwks_uri)
            try:
                # Keys of kinds we do not take, and secrets among them, are no keys for us (RFC 7517 §5).
                usable = [key for key in said.get("keys", ()) if key.get("kty") in {"RSA", "EC"}]
                self._keys = KeySet.import_key_set({"keys": usable})
            except (JoseError, ValueError, TypeError, AttributeError, KeyError) as exc:
                raise ServiceUnavailable(SERVICE, "the provider's keys cannot be read") from exc
        return self._keys

    async def _get(self, url: str) -> dict[str, Any]:
        status, said = await self._call("GET", url)
        if status != 200:
            raise ServiceUnavailable(SERVICE, f"HTTP {status}")
        return said

    async def _call(self, method: str, url: str, **how: Any) -> tuple[int, dict[str, Any]]:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s))
        try:
            async with self._http.request(method, url, allow_redirects=False, **how) as response:
                body = await response.content.read(MOST_BYTES)
                if response.status >= 500:
                    raise ServiceUnavailable(SERVICE, f"HTTP {response.status}")
                said = json.loads(body) if body else {}
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ServiceUnavailable(SERVICE, type(exc).__name__) from exc
        except ValueError as exc:
            raise ServiceUnavailable(SERVICE, "the provider's answer is no JSON") from exc
        return response.status, said if isinstance(said, dict) else {}


def _secure(url: Any) -> str:
    """The address. Raises: Misconfigured when what goes there could be read on the way."""
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if not (parts.scheme == "https" and parts.hostname) and not (
        parts.scheme == "http" and parts.hostname in _LOOPBACK
    ):
        raise Misconfigured(SERVICE, "the provider's addresses must be https")
    return str(url)
