"""A strict OpenID Connect provider on a real port: everything a client may do wrong is refused.

`people` are who is "at the browser" next; `spoil` changes the ID token's claims before it is signed, `sign` how.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from bot.ports import Clock

CLIENT, SECRET = "frontdesk", "s3cret/with+signs"
RETURN = "https://desk.example/console/sign-in/return"
Claims = dict[str, Any]


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Provider:
    """Started with `start`; `issuer` is its address."""

    clock: Clock
    method: str = "client_secret_basic"
    sends_issuer: bool = True
    algorithm: str = "RS256"
    person: Claims = field(default_factory=lambda: {"sub": "p-1", "preferred_username": "li", "name": "Li Qiang"})
    spoil: Callable[[Claims], Claims] = lambda claims: claims
    sign: Callable[[Provider, Claims], str] | None = None
    says: Claims = field(default_factory=dict)  # over what the discovery document says
    calls: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rotate()
        self._codes: dict[str, Claims] = {}

    def rotate(self) -> None:
        """Other keys from now on."""
        self.keys = {
            "RS256": RSAKey.generate_key(2048, {"kid": f"r-{secrets.token_hex(2)}"}),
            "ES256": ECKey.generate_key("P-256", {"kid": f"e-{secrets.token_hex(2)}"}),
        }

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/keys", self._jwks)
        app.router.add_post("/token", self._token)
        self._server = TestServer(app, host="127.0.0.1")
        await self._server.start_server()
        self.issuer = str(self._server.make_url("")).rstrip("/")

    async def stop(self) -> None:
        await self._server.close()

    def authorize(self, url: str) -> dict[str, str]:
        """Somebody is sent here by `url`, proves who they are, and is sent back with these parameters."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert url.startswith(f"{self.issuer}/authorize?")
        assert (asked["client_id"], asked["redirect_uri"], asked["response_type"]) == (CLIENT, RETURN, "code")
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        assert len(asked["state"]) >= 32
        assert len(asked["nonce"]) >= 32
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**asked, "person": dict(self.person)}
        back = {"code": code, "state": asked["state"]}
        return {**back, "iss": self.issuer} if self.sends_issuer else back

    async def _discovery(self, request: web.Request) -> web.Response:
        self.calls.append("discovery")
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": [self.method],
            "authorization_response_iss_parameter_supported": self.sends_issuer,
        }
        return web.json_response({**said, **self.says})

    async def _jwks(self, request: web.Request) -> web.Response:
        self.calls.append("keys")
        keys = KeySet(list(self.keys.values())).as_dict(private=False)
        keys["keys"].append({"kty": "oct", "kid": "odd", "k": _b64(b"x" * 32)})
        return web.json_response(keys)

    async def _token(self, request: web.Request) -> web.Response:
        self.calls.append("token")
        form = {name: str(value) for name, value in (await request.post()).items()}
        if self._client(request, form) != (CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        asked = self._codes.pop(form.get("code", ""), None)  # once
        if asked is None or form.get("redirect_uri") != asked["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        challenge = _b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if challenge != asked["code_challenge"] or form.get("grant_type") != "authorization_code":
            return web.json_response({"error": "invalid_grant"}, status=400)
        at = int(self.clock.now().timestamp())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": at, "exp": at + 300, "nonce": asked["nonce"]}
        claims = self.spoil({**claims, **asked["person"]})
        token = self.sign(self, claims) if self.sign else self.signed(claims)
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": token})

    def _client(self, request: web.Request, form: dict[str, str]) -> tuple[str, str]:
        if self.method == "client_secret_post":
            return form.get("client_id", ""), form.get("client_secret", "")
        kind, _, pair = request.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(pair).decode().partition(":")
        return (unquote(name), unquote(secret)) if kind == "Basic" else ("", "")

    def signed(self, claims: Claims) -> str:
        """The claims as the provider signs them."""
        key = self.keys[self.algorithm]
        return jwt.encode({"alg": self.algorithm, "kid": key.kid}, claims, key, algorithms=[self.algorithm])


def unsigned(provider: Provider, claims: Claims) -> str:
    """alg none."""
    header = _b64(json.dumps({"alg": "none"}).encode())
    return f"{header}.{_b64(json.dumps(claims).encode())}."


def with_a_shared_secret(provider: Provider, claims: Claims) -> str:
    """HS256 with the provider's public key, which everybody knows, as the secret."""
    public = provider.keys["RS256"].as_pem(private=False)
    return jwt.encode(
        {"alg": "HS256", "kid": provider.keys["RS256"].kid},
        claims,
        OctKey.import_key(_b64(public)),
        algorithms=["HS256"],
    )


def by_a_stranger(provider: Provider, claims: Claims) -> str:
    """A key of somebody else under the provider's key id."""
    stranger = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "kid": provider.keys["RS256"].kid}, claims, stranger, algorithms=["RS256"])
