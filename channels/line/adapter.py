"""One LINE Official Account: verify, decode, encode, send."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from bot.errors import Misconfigured, RecipientUnreachable, ServiceError
from bot.types import Capabilities, Lane, Outbound, OutPart, Receipt, Received, RenderedReply
from channels.base import FetchedFile, Finding, SendQuota
from channels.encoding import encode_reply
from channels.fields import read_json, text_in
from channels.line.decode import CHANNEL, decode_body
from channels.line.examine import examine, pushed
from channels.line.messages import messages_of
from channels.vendor_http import Answer, VendorHttp, error_of
from channels.webhook import check_hmac
from config.settings import LineSettings

MAX_TOKENS = 10_000
CAPABILITIES = Capabilities(
    channel=CHANNEL,
    max_text=5000,
    length_unit="utf16",
    max_caption=5000,  # words and picture are two messages of one call, which counts once
    buttons=13,  # quick replies
    max_button_label=20,
    max_button_value=300,
    can_edit=False,
    can_type=True,
    idempotency_key=True,
    direct=False,
    per_account_per_s=2000,  # reference, rate limits; the loading animation has 100
    media=frozenset({"image"}),  # a video needs a preview picture, audio its length
    cards=12,  # bubbles of a Flex carousel
    asks=frozenset({"date", "location"}),
)


class LineAdapter:
    """Implements ChannelAdapter, FetchesMedia, ShowsTyping and Examinable."""

    channel = CHANNEL
    capabilities = CAPABILITIES

    def __init__(self, account: str, settings: LineSettings, *, link: Callable[[str], str] = str) -> None:
        """`link` gives the public address of a file of ours. Raises: Misconfigured for what cannot work."""
        self.account, self.settings, self._link = account, settings, link
        headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"}
        self._api = VendorHttp(CHANNEL, settings.api_base_url, timeout_s=settings.timeout_s, headers=headers)
        self._data = VendorHttp(CHANNEL, settings.data_base_url, timeout_s=settings.timeout_s, headers=headers)
        self._tokens: dict[str, tuple[str, float]] = {}  # by chat; from its first use on, by that send's key

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """`body` is LINE's, byte for byte. Raises: SignatureInvalid."""
        check_hmac(headers.get("x-line-signature", ""), self.settings.secret, body)

    def decode(self, body: bytes) -> Sequence[Received]:
        return decode_body(body, self.account, groups=self.settings.groups)

    def remember(self, received: Received) -> None:
        """The reply token of a new event is kept while it is fresh, in this process only: see docs/line.md."""
        token = text_in(read_json(received.raw)["events"][0], "replyToken") if received.message else ""
        if token and received.message:
            self._tokens[received.message.chat_id] = (token, time.monotonic() + self.settings.reply_token_s)
            if len(self._tokens) > MAX_TOKENS:
                del self._tokens[next(iter(self._tokens))]

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        return encode_reply(reply, CAPABILITIES)

    async def send(self, outbound: Outbound) -> Receipt:
        """One call: free with a fresh reply token, else a push, which its retry key keeps from happening twice."""
        messages = [message.to_dict() for message in messages_of(outbound.part, self._link)]
        token, was_tried = self._token(outbound)
        if token:
            answer = await self._api.ask("POST", "/v2/bot/message/reply", {"replyToken": token, "messages": messages})
            if answer.status == 200:
                return _receipt(answer)
            if "reply token" not in text_in(answer.fields(), "message").lower():
                raise line_error(answer)
            if was_tried:
                return Receipt()  # used up: the try whose answer was lost did arrive
            del self._tokens[outbound.idempotency_key]  # LINE let it expire early
        key = {"X-Line-Retry-Key": str(uuid.uuid5(uuid.NAMESPACE_OID, outbound.idempotency_key))}
        push = {"to": outbound.chat_id, "messages": messages}
        answer = await self._api.ask("POST", "/v2/bot/message/push", push, headers=key)
        if answer.status not in {200, 409}:  # 409: an earlier try with this key was accepted
            raise line_error(answer)
        return _receipt(answer)

    def _token(self, outbound: Outbound) -> tuple[str, bool]:
        """The token to use, or none; and whether an earlier try of this send may have used it up."""
        tried = self._tokens.get(outbound.idempotency_key)
        may_take = outbound.attempt <= 1 and outbound.lane is not Lane.BROADCAST
        found = tried or (self._tokens.pop(outbound.chat_id, None) if may_take else None)
        if found is None or found[1] <= time.monotonic():
            return "", False
        self._tokens[outbound.idempotency_key] = found
        return found[0], tried is not None

    async def fetch_media(self, file_id: str, *, max_bytes: int) -> FetchedFile:
        return await self._data.fetch(f"/v2/bot/message/{quote(file_id, safe='')}/content", max_bytes=max_bytes)

    async def send_typing(self, chat_id: str, topic: str = "") -> None:
        if chat_id.startswith("U"):  # groups show nothing; 5 s is the shortest and said again
            await self._api.courtesy("/v2/bot/chat/loading/start", {"chatId": chat_id, "loadingSeconds": 5})

    async def quota(self, kind: str) -> SendQuota | None:
        """Pushed messages of this month; replies by token are free and not counted. See `HasQuotas`."""
        return await pushed(self._api.ask)

    async def examine(self, *, public_url: str, repair: bool) -> Sequence[Finding]:
        return await examine(self._api.ask, self.account, public_url, repair=repair)

    async def close(self) -> None:
        await self._api.close()
        await self._data.close()


def line_error(answer: Answer) -> ServiceError:
    """What an answer that is no success means. Source: Messaging API reference, error messages (checked 2026-11)."""
    told = text_in(answer.fields(), "message")
    if answer.status == 429 and "monthly limit" in told:
        return Misconfigured(CHANNEL, "this month's messages are used up; raise the plan's limit or wait")
    if answer.status == 400 and "Failed to send" in told:
        return RecipientUnreachable(CHANNEL, told)
    return error_of(CHANNEL, answer, told)


def _receipt(answer: Answer) -> Receipt:
    sent = answer.fields().get("sentMessages")
    return Receipt(text_in(sent[-1], "id") if isinstance(sent, list) and sent and isinstance(sent[-1], dict) else "")
