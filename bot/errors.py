"""The whole error tree. The class, not the text, says what a caller may do about it."""

from __future__ import annotations

from typing import Literal


class BotError(Exception):
    """Root of everything Frontdesk raises on purpose."""


# --- the outside sent something wrong -------------------------------------------------------------------------


class InputError(BotError):
    """The outside sent something wrong; retrying the same bytes will not help."""


class SignatureInvalid(InputError):
    """The sender could not be proven; nothing of the body may be believed (401/403)."""


class PayloadInvalid(InputError):
    """Proven to come from the channel, but not readable; parked with its raw bytes."""


class MessageUnsupported(InputError):
    """Readable, but of a kind we do not handle; stored and acknowledged."""


class DedupeMismatch(InputError):
    """The same client id came with other content (409)."""


class FileRefused(InputError):
    """A file that is not taken. `code` is for programs and screens, the text for staff; neither quotes the file.

    codes: empty, too_large, kind, damaged, infected, too_many
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class AssistantInvalid(InputError):
    """An assistant folder, model or training file is wrong; says where.

    `file` is relative to the assistant folder, `line` is 1-based or None when the whole file is meant.
    """

    def __init__(self, reason: str, *, file: str = "", line: int | None = None) -> None:
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{reason}")
        self.reason, self.file, self.line = reason, file, line


# --- a business rule says no ----------------------------------------------------------------------------------


class RuleError(BotError):
    """A business rule says no."""


class RestoreRefused(RuleError):
    """A file is no sound backup, or would write over a store that is in use; nothing was changed."""


class NotPermitted(RuleError):
    """Who asks may not do this."""


class NotSignedIn(RuleError):
    """There is no session to act with. `needs` says what would give one: sign_in, or of a session that is there
    second_factor, unlock, new_password, enrolment (401)."""

    def __init__(self, needs: str = "sign_in") -> None:
        super().__init__(f"not signed in: {needs} is needed")
        self.needs = needs


class SignInRefused(RuleError):
    """Name, password or code do not fit; never says which (401)."""


class TooManyTries(RuleError):
    """Tried too often; nothing was checked. `retry_after_s`: when the next try is (429)."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many tries; the next one in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class StaleState(RuleError):
    """The row changed since it was read (version or fence differs): read again and decide again."""


class NotHolding(StaleState):
    """Somebody else writes in this conversation now: `owner` is bot, queue or operator, then with the `operator`."""

    def __init__(self, owner: str, operator: str = "") -> None:
        super().__init__(f"{operator} has this conversation" if operator else f"the {owner} has this conversation")
        self.owner, self.operator = owner, operator


# --- not there ------------------------------------------------------------------------------------------------


class NotFound(BotError):
    """Nothing with this key."""


class CustomerNotFound(NotFound):
    """No customer with this id."""


class CaseNotFound(NotFound):
    """No case with this number for this customer."""


# --- the far side failed --------------------------------------------------------------------------------------


class ServiceError(BotError):
    """A service we depend on failed."""

    def __init__(self, service: str, reason: str = "") -> None:
        super().__init__(f"{service}: {reason}" if reason else service)
        self.service, self.reason = service, reason


class RateLimited(ServiceError):
    """The far side asks us to wait; nothing was sent. `is_quota`: what it allows in a day or month is used up."""

    def __init__(self, service: str, *, retry_after_s: float, is_quota: bool = False) -> None:
        super().__init__(service, f"rate limited, retry after {retry_after_s:g} s")
        self.retry_after_s, self.is_quota = retry_after_s, is_quota


class ServiceUnavailable(ServiceError):
    """The far side did not answer usefully.

    `happened` says whether the request may have been carried out: `no` (refused before it left, a connect
    error, a 5xx that promises nothing was done) or `unknown` (the answer was lost).
    """

    def __init__(self, service: str, reason: str = "", *, happened: Literal["no", "unknown"] = "no") -> None:
        super().__init__(service, reason)
        self.happened: Literal["no", "unknown"] = happened


class SendRefused(ServiceError):
    """The far side read the request and will never accept it (a 400): park it for staff."""


class RecipientUnreachable(ServiceError):
    """The recipient blocked us, left or does not exist."""


class WindowClosed(ServiceError):
    """No free-form reply may be sent to this recipient now: none is left, or the window is over; nothing was sent."""


class Misconfigured(ServiceError):
    """Credentials, address or permissions are wrong: an operator of the deployment must act."""


class StoreUnavailable(ServiceError):
    """The store cannot commit now (disk full, locked, connection lost): answer 503, acknowledge nothing."""


class StoreIncompatible(ServiceError):
    """The store is newer (or foreign) than this code."""
