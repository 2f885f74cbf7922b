"""How staff come in, composed from the settings: sessions, and the provider where one is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from bot.errors import Misconfigured
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from config.settings import Settings, SignInSettings
from crm_sync.database import Database
from desk.oidc_provider import OidcProvider
from desk.sessions import SignInRules
from desk.signing_in import SigningIn
from desk.single_sign_on import Admission, SingleSignOn

RETURN_PATH = "/console/sign-in/return"  # registered with the provider, below FRONTDESK_PUBLIC_URL


def build_sign_in_rules(wanted: SignInSettings) -> SignInRules:
    """How long sessions live, and who needs a second factor."""
    return SignInRules(
        longest=timedelta(hours=wanted.session_hours),
        idle=timedelta(hours=wanted.idle_hours),
        lock_after=timedelta(minutes=wanted.lock_minutes),
        second_factor=frozenset(wanted.second_factor),
    )


def build_signing_in(
    settings: Settings, database: Database, keys: Sequence[bytes], clock: Clock, policy: Callable[[], ServicePolicy]
) -> SigningIn:
    """Signing in as the settings want it."""
    return SigningIn(database, keys, clock, policy, build_sign_in_rules(settings.sign_in))


def build_single_sign_on(
    settings: Settings, database: Database, keys: Sequence[bytes], clock: Clock, signing_in: SigningIn
) -> tuple[SingleSignOn, OidcProvider] | None:
    """The way through the provider, and the provider, which is to be closed at the end; None without one.

    Raises: Misconfigured without a public address, which the provider needs to send people back.
    """
    wanted = settings.oidc
    if wanted is None:
        return None
    if not settings.public_url:
        raise Misconfigured("FRONTDESK_PUBLIC_URL", "must be set for single sign-on; the provider sends people there")
    provider = OidcProvider(
        wanted.issuer,
        wanted.client_id,
        wanted.client_secret.get_secret_value(),
        scopes=wanted.scopes,
        timeout_s=wanted.timeout_s,
    )
    admission = Admission(wanted.role, wanted.role_claim, wanted.roles, wanted.name_claim)
    address = settings.public_url.rstrip("/") + RETURN_PATH
    single = SingleSignOn(database, keys, clock, signing_in, provider, redirect_uri=address, admission=admission)
    return single, provider
