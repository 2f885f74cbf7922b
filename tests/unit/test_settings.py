"""Settings: public names, secrets that stay secret, and a clear sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import Settings
from frontdesk.cli import sentence


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_set_serves_the_sample_on_sqlite() -> None:
    settings = Settings()
    assert settings.database_url.get_secret_value() == "sqlite:///frontdesk.db"
    assert settings.nlu.engine == ("embedded",)
    assert set(settings.web_accounts()) == {"default"}


def test_account_names_come_lower_cased_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_CHANNELS__TELEGRAM__SHOP_CN__TOKEN", "1:a")
    assert set(Settings().channels.telegram) == {"shop-cn"}


def test_lists_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_NLU__ENGINE", "rasa, embedded")
    monkeypatch.setenv("FRONTDESK_CHANNELS__WEB__DEFAULT__ORIGINS", "https://a.example,https://b.example")
    settings = Settings()
    assert settings.nlu.engine == ("rasa", "embedded")
    assert settings.web_accounts()["default"].origins == ("https://a.example", "https://b.example")


def test_secrets_do_not_show_in_a_printed_settings_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRONTDESK_CHANNELS__TELEGRAM__MAIN__TOKEN", "123:very-secret")
    monkeypatch.setenv("FRONTDESK_SECRET_KEY", "also-very-secret-key")
    monkeypatch.setenv("FRONTDESK_DATABASE_URL", "postgresql://u:hidden@h/d")
    shown = repr(Settings())
    assert "very-secret" not in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("FRONTDESK_NLU__ENGINE", "gpt", "FRONTDESK_NLU__ENGINE"),
        ("FRONTDESK_PORT", "99999", "FRONTDESK_PORT"),
        ("FRONTDESK_TIMEZONE", "Mars/Olympus", "FRONTDESK_TIMEZONE"),
        ("FRONTDESK_CHANNELS__TELEGRAM__MAIN__MODE", "carrier-pigeon", "FRONTDESK_CHANNELS__TELEGRAM__MAIN"),
        ("FRONTDESK_CHANNELS__TELEGRAM__MAIN__TOKNE", "1:secret", "FRONTDESK_CHANNELS__TELEGRAM__MAIN"),
    ],
)
def test_a_wrong_value_is_named_and_not_repeated(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    told = sentence(caught.value)
    assert told.startswith(expected)
    assert "secret" not in told


def test_the_example_file_names_every_setting() -> None:
    example = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")

    def names(model: type, prefix: str) -> list[str]:
        found = []
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            inner = field.annotation
            if name == "channels":
                for channel, section in inner.model_fields.items():
                    account = "DEFAULT" if channel == "web" else "MAIN"
                    found += names(section.annotation.__args__[1], f"{prefix}CHANNELS__{channel.upper()}__{account}__")
            elif name == "feeds":
                found += names(inner.__args__[1], f"{prefix}FEEDS__MAIN__")
            elif name == "oidc":
                found += names(inner.__args__[0], f"{prefix}OIDC__")
            elif name in {"nlu", "media", "mail", "codes", "translate", "sign_in", "hooks"}:
                found += names(inner, f"{prefix}{name.upper()}__")
            else:
                found.append(prefix + name.upper())
        return found

    per_account = {"ASSISTANT", "TIMEZONE", "LANGUAGE"}
    missing = [
        name
        for name in names(Settings, "FRONTDESK_")
        if f"#{name}=" not in example and not ("TELEGRAM__" not in name and name.rsplit("__", 1)[1] in per_account)
    ]
    assert missing == []


def test_links_lead_to_the_public_address_or_else_to_where_we_listen() -> None:
    assert Settings(public_url="https://desk.example/", _env_file=None).own_url == "https://desk.example"
    assert Settings(host="127.0.0.1", port=8099, _env_file=None).own_url == "http://127.0.0.1:8099"
