"""How staff come in is what the settings say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.errors import Misconfigured
from bot.service.policy import ServicePolicy
from config.settings import OidcSettings, Settings, SignInSettings
from frontdesk.staff_access import RETURN_PATH, build_sign_in_rules, build_signing_in, build_single_sign_on
from tests.store_steps import SECRET_KEYS, SetClock

NO_STORE: Any = None  # nothing is asked of it


def test_sessions_live_as_long_as_the_settings_say() -> None:
    wanted = SignInSettings(session_hours=8, idle_hours=1, lock_minutes=3, second_factor=("admin",))
    rules = build_sign_in_rules(wanted)
    assert (rules.longest, rules.idle, rules.lock_after) == (
        timedelta(hours=8),
        timedelta(hours=1),
        timedelta(minutes=3),
    )
    assert rules.wants_second_factor("admin")
    assert not rules.wants_second_factor("operator")


async def test_single_sign_on_is_there_when_a_provider_is_named_and_the_address_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "FRONTDESK_OIDC__ISSUER": "https://id.example",
        "FRONTDESK_OIDC__CLIENT_ID": "desk",
        "FRONTDESK_OIDC__CLIENT_SECRET": "s3cret",
        "FRONTDESK_OIDC__SCOPES": "email",
        "FRONTDESK_OIDC__ROLES": '{"admins": "admin"}',
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings(_env_file=None)
    assert isinstance(settings.oidc, OidcSettings)
    assert (settings.oidc.scopes, settings.oidc.roles) == (("openid", "email"), {"admins": "admin"})
    assert "s3cret" not in repr(settings)
    clock = SetClock()
    signing_in = build_signing_in(settings, NO_STORE, SECRET_KEYS, clock, ServicePolicy)
    with pytest.raises(Misconfigured, match="FRONTDESK_PUBLIC_URL"):
        build_single_sign_on(settings, NO_STORE, SECRET_KEYS, clock, signing_in)
    known = settings.model_copy(update={"public_url": "https://desk.example/"})
    built = build_single_sign_on(known, NO_STORE, SECRET_KEYS, clock, signing_in)
    assert built is not None
    single, provider = built
    assert single.redirect_uri == f"https://desk.example{RETURN_PATH}"
    await provider.close()
    without = settings.model_copy(update={"oidc": None})
    assert build_single_sign_on(without, NO_STORE, SECRET_KEYS, clock, signing_in) is None
