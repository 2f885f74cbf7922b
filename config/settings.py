"""One frozen `Settings` per process, read once from the environment, `.env` and `frontdesk.toml`.

Names are public: `FRONTDESK_` plus the field, `__` for nesting. Accounts are lower-cased from the environment.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

SAMPLE_ASSISTANT = Path(__file__).parent / "assistants" / "shop"
ACCOUNT_NAME = re.compile(r"^[a-z0-9-]{1,40}$")


def _comma_list(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _json_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else ()
    except ValueError as exc:
        raise ValueError("must be a JSON list") from exc


CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_comma_list)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NluSettings(_Section):
    engine: CommaList = ("embedded",)  # in order; the next one answers when the one before cannot
    rasa_url: str = "http://127.0.0.1:5005"
    rasa_token: SecretStr | None = None
    rasa_timeout_s: float = Field(0.3, gt=0, le=30)  # for the whole message; then the next engine answers
    minimum_confidence: float = Field(0.4, ge=0, le=1)  # below it a cascade asks the next engine
    model_dir: Path = Path(".frontdesk/model")
    rejected_share: float = Field(0.05, ge=0, le=0.2)  # of rightly understood messages, given up to notice foreign ones
    encoder: Path | None = None  # folder of a sentence encoder; none: words only

    @field_validator("engine")
    @classmethod
    def _known_engines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(value) - {"embedded", "rasa"}
        if unknown or not value:
            raise ValueError(f"unknown NLU engine {', '.join(sorted(unknown)) or '(none)'}; use embedded, rasa or both")
        return value


class AccountSettings(_Section):
    assistant: Path | None = None
    timezone: str | None = None
    language: Literal["zh", "en"] | None = None


class TelegramSettings(AccountSettings):
    token: SecretStr
    secret: SecretStr | None = None  # required for webhook mode: X-Telegram-Bot-Api-Secret-Token
    mode: Literal["polling", "webhook"] = "polling"
    api_base_url: str = "https://api.telegram.org"
    local: bool = (
        False  # api_base_url is our own Bot API server in --local mode: its disk is ours, files up to 2,000 MB
    )
    groups: bool = False  # answer in groups what is meant for the bot; off: group messages are stored and ignored
    link_previews: bool = False  # show the page behind a link below our messages
    allow_paid_broadcast: bool = False  # broadcasts above 30/s are paid in Telegram Stars
    paid_broadcast_per_s: float = Field(1000.0, gt=0, le=1000)  # Bot API, sendMessage, allow_paid_broadcast
    timeout_s: float = Field(10.0, gt=0)
    per_account_per_s: float = Field(30.0, gt=0)  # Bot API FAQ, broadcasting limits
    per_chat_per_s: float = Field(1.0, gt=0)


class WelcomeRule(_Section):
    """A sentence beside the closed chat, for who stays on a page; shown once to a visitor."""

    text: str = Field(min_length=1, max_length=300)
    text_en: str = Field("", max_length=300)  # shown by an English widget; empty: `text`
    path: str = "*"  # of the page; * stands for anything
    after_s: float = Field(15.0, ge=0, le=3600)
    days: str = Field("1-7", pattern=r"^[1-7](-[1-7])?$")  # ISO weekdays in the account's time zone
    hours: str = Field("00:00-24:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")


class WebSettings(AccountSettings):
    origins: CommaList = ()  # other sites that may embed the widget, e.g. https://shop.example; own origin always may
    identity_secret: SecretStr | None = None  # HMAC key shared with the shop's own site for signed-in visitors
    session_hours: float = Field(24.0 * 30, gt=0)
    title: str = ""
    accent: str = Field("", pattern=r"^(#[0-9a-fA-F]{6})?$")  # of buttons and own messages
    position: Literal["right", "left"] = "right"
    theme: Literal["auto", "light", "dark"] = "auto"
    attachments: bool = True
    form: CommaList = ()  # asked before the first message: name, phone, email, consent; required with a *
    privacy_url: str = Field("", pattern=r"^(https?://\S+)?$")  # what the form's check box leads to
    continue_on: CommaList = ()  # accounts of other channels where a visitor may go on, e.g. telegram/main
    welcome: Annotated[tuple[WelcomeRule, ...], NoDecode, BeforeValidator(_json_text)] = ()

    @field_validator("form")
    @classmethod
    def _known_fields(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = {field.removesuffix("*") for field in value} - {"name", "phone", "email", "consent"}
        if unknown:
            raise ValueError(f"unknown form field {sorted(unknown)[0]}; use name, phone, email and consent")
        return value

    @field_validator("continue_on")
    @classmethod
    def _known_channels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for place in value:
            if place.partition("/")[0] not in ("telegram", "wechat") or not place.partition("/")[2]:
                raise ValueError(f"{place!r} must be telegram/<account> or wechat/<account>")
        return value


class HeldNotice(_Section):
    """A template that tells a follower, once a day at most, that a reply waits until they write."""

    template_id: str
    kind: Literal["template", "subscribe"] = "template"
    fields: dict[str, str]  # the template's own, e.g. {"thing1": "您有新的回复，发送任意消息即可查看"}
    url: str = ""


class WechatSettings(AccountSettings):
    """An Official Account (公众号)."""

    app_id: str
    app_secret: SecretStr | None = None  # without it only passive replies are possible
    token: SecretStr  # the one typed into the account's server configuration; signs callbacks
    aes_key: SecretStr | None = None  # EncodingAESKey, 43 characters; needed for compatible and encrypted
    kind: Literal["subscription", "service"] = "subscription"  # decides how often a mass send may go out
    encryption: Literal["plain", "compatible", "encrypted"] = "plain"
    verified: bool = True  # unverified accounts have no customer-service messages: replies wait for the next message
    api_base_url: str = "https://api.weixin.qq.com"
    timeout_s: float = Field(10.0, gt=0)
    # A reply decided within this many seconds travels back in WeChat's own request, which it gives up after 5 s.
    passive_s: float = Field(4.5, ge=0, le=4.8)
    held_notice: HeldNotice | None = None  # as JSON; None: the reply waits without a word
    timestamp_tolerance_s: float = Field(600.0, ge=0)  # callbacks stamped further from our clock are refused; 0: none


class WecomSettings(AccountSettings):
    """A WeCom (企业微信) application; with `kf` its callbacks are those of 微信客服."""

    corp_id: str
    secret: SecretStr
    token: SecretStr
    aes_key: SecretStr
    agent_id: int | None = None  # of the application; None for 微信客服 alone
    kf: bool = False
    # Who takes over when the bot hands a 微信客服 customer to a person: WeCom's own queue, one colleague in WeCom, or
    # the staff here in Frontdesk.
    kf_handoff: Literal["pool", "servicer", "console"] = "pool"
    kf_servicer: str = ""  # userid of that colleague
    api_base_url: str = "https://qyapi.weixin.qq.com"
    timeout_s: float = Field(10.0, gt=0)


class LineSettings(AccountSettings):
    """A LINE Official Account with the Messaging API."""

    secret: SecretStr = Field(min_length=1)  # channel secret, signs webhooks
    token: SecretStr = Field(min_length=1)  # channel access token (long-lived)
    api_base_url: str = "https://api.line.me"
    data_base_url: str = "https://api-data.line.me"  # customers' files
    groups: bool = False  # answer in groups and rooms; off: their messages are stored and ignored
    # So long after an event its reply token may carry one answer for free (LINE promises about a minute); 0: never.
    reply_token_s: float = Field(45.0, ge=0, le=55)
    timeout_s: float = Field(10.0, gt=0)


class ChannelsSettings(_Section):
    telegram: dict[str, TelegramSettings] = Field(default_factory=dict)
    wechat: dict[str, WechatSettings] = Field(default_factory=dict)
    wecom: dict[str, WecomSettings] = Field(default_factory=dict)
    line: dict[str, LineSettings] = Field(default_factory=dict)
    web: dict[str, WebSettings] = Field(default_factory=dict)

    @field_validator("*", mode="before")
    @classmethod
    def _account_names(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        accounts = {str(name).lower().replace("_", "-"): section for name, section in value.items()}
        for name in accounts:
            if not ACCOUNT_NAME.match(name):
                raise ValueError(f"account name {name!r} may only hold a-z, 0-9 and -")
        return accounts


class MediaSettings(_Section):
    """Where files are kept, and for how long."""

    folder: Path = Path(".frontdesk/media")  # used while `s3_endpoint` is empty
    s3_endpoint: str = ""  # e.g. https://s3.eu-central-1.amazonaws.com or a MinIO address
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    max_bytes: int = Field(20_000_000, gt=0)  # one file
    retention_days: int = Field(180, ge=1)
    link_hours: float = Field(24.0, gt=0)  # how long a signed link works
    speech_to_text: str = ""  # name of an installed entry point of group frontdesk.speech_to_text; empty: staff listen
    speech_timeout_s: float = Field(5.0, gt=0, le=30)  # what a turn waits for the words of a voice message
    scan_command: str = ""  # virus scanner, given the file's path; exit code 0: clean, 1: infected


class FeedSettings(_Section):
    """Somebody who may bring news for subscribers, over POST /api/v1/feeds/{topic} and /api/v1/outages."""

    token: SecretStr = Field(min_length=16)
    topics: CommaList = ()  # empty: every topic


class HookSettings(_Section):
    """Subscribers that are told what happens (outgoing webhooks)."""

    allow_private: bool = False  # also http:// and addresses inside the network, e.g. of a system beside this one
    timeout_s: float = Field(10.0, gt=0, le=60)


class TranslateSettings(_Section):
    """A LibreTranslate server that tells staff what customers wrote; without an address nobody translates."""

    url: str = ""  # e.g. http://translate.internal:5000
    api_key: SecretStr | None = None
    timeout_s: float = Field(5.0, gt=0, le=60)


class MailSettings(_Section):
    """The mail server that takes conversations visitors ask for; without a host the chat offers saving and printing."""

    host: str = ""
    port: int = Field(587, gt=0, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: SecretStr | None = None
    sender: str = ""  # e.g. "Linden Home <chat@shop.example>"; needed with a host
    timeout_s: float = Field(15.0, gt=0)

    @model_validator(mode="after")
    def _has_sender(self) -> MailSettings:
        if self.host and "@" not in self.sender:
            raise ValueError("sender must be an e-mail address when a mail host is set")
        return self


class CodesSettings(_Section):
    """One-time codes by text message: a service of yours is asked to send them; without `sms_url` none leaves so."""

    sms_url: str = Field("", pattern=r"^(https?://\S+)?$")  # gets POST {"to", "text", "language"}, answers 2xx
    sms_secret: SecretStr | None = Field(None, min_length=16)  # signs the request as hooks are signed
    timeout_s: float = Field(10.0, gt=0, le=60)

    @model_validator(mode="after")
    def _has_secret(self) -> CodesSettings:
        if self.sms_url and self.sms_secret is None:
            raise ValueError("sms_secret must be set when sms_url is, so that the service knows who asks")
        return self


class SignInSettings(_Section):
    """How long somebody of the staff stays signed in, and for whom a password alone is not enough."""

    session_hours: float = Field(12.0, gt=0, le=168)
    idle_hours: float = Field(4.0, gt=0, le=168)  # without a sign of life the session is over
    lock_minutes: int = Field(15, ge=1, le=1440)  # without one it asks who is there
    second_factor: CommaList = ()  # roles that must have one; *: all


class OidcSettings(_Section):
    """A provider (OpenID Connect) that staff may sign in with."""

    issuer: str = Field(pattern=r"^https?://\S+$")  # exactly as the provider writes it
    client_id: str = Field(min_length=1)
    client_secret: SecretStr = Field(min_length=1)
    label: str = Field("", max_length=60)  # what the button says
    scopes: CommaList = ("openid", "profile", "email")
    role: str = ""  # of accounts made on first signing in; empty: only accounts that were linked may come in
    role_claim: str = ""  # claim that decides on the role, e.g. groups
    roles: Annotated[dict[str, str], NoDecode, BeforeValidator(_json_text)] = Field(default_factory=dict)  # its values
    name_claim: str = "preferred_username"
    timeout_s: float = Field(10.0, gt=0)

    @field_validator("scopes")
    @classmethod
    def _has_openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return value if "openid" in value else ("openid", *value)


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Asia/Shanghai") from exc
    return value


class Settings(BaseSettings):
    """Everything a process may know from outside. A missing section switches its channel off."""

    model_config = SettingsConfigDict(
        env_prefix="FRONTDESK_",
        env_nested_delimiter="__",
        env_file=".env",
        toml_file="frontdesk.toml",
        frozen=True,
        extra="ignore",
    )

    database_url: SecretStr = SecretStr("sqlite:///frontdesk.db")
    redis_url: SecretStr | None = None
    secret_key: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_comma_list)] = ()  # first signs, all verify
    assistant: Path = SAMPLE_ASSISTANT
    timezone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Shanghai"
    language: Literal["zh", "en"] = "zh"
    public_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    max_body_bytes: int = Field(1_000_000, gt=0)
    raw_retention_days: int = Field(30, ge=1)  # raw vendor payloads beside the decoded messages
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    nlu: NluSettings = NluSettings()
    channels: ChannelsSettings = ChannelsSettings()
    media: MediaSettings = MediaSettings()
    mail: MailSettings = MailSettings()
    codes: CodesSettings = CodesSettings()
    translate: TranslateSettings = TranslateSettings()
    sign_in: SignInSettings = SignInSettings()
    oidc: OidcSettings | None = None
    feeds: dict[str, FeedSettings] = Field(default_factory=dict)
    hooks: HookSettings = HookSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def own_url(self) -> str:
        """Where links we give out lead: the public address, else the one we listen on, which this machine reaches."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    def web_accounts(self) -> dict[str, WebSettings]:
        """Web accounts by name; `default` always exists."""
        return {"default": WebSettings(), **self.channels.web}
