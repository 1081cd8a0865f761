"""Everything that can go wrong, as one tree.

OnebusError
├── ActionError              crosses the bus as data; `code` is stable
│   ├── BadParams            the call cannot be made like this
│   ├── UnsupportedAction    this platform cannot do it
│   ├── NotFound             no such message, user, group…
│   ├── Forbidden            the platform refuses it to this account
│   ├── RateLimited          refused for now; `retry_after_s`
│   ├── PlatformUnavailable  the platform did not answer, or answered nonsense
│   ├── OutcomeUnknown       it may have been done; never repeat it blindly
│   └── InternalError        a fault of ours; the log has it
├── SetupError               why an account cannot be opened
│   ├── NotReady             try again later
│   ├── AuthFailed           wait for a human
│   └── Misconfigured        stop
└── BusError                 NATS or the owner of the account is away
    ├── BusUnavailable       this process has no NATS
    ├── Stopping             this process is about to end
    ├── AccountOffline       nobody serves the account now
    └── BusTimeout           no answer before the deadline; the outcome is unknown
"""

from typing import ClassVar

from msgspec import Struct


class OnebusError(Exception):
    """Base of all errors of onebus; its text may be shown to a user and holds no secret."""


class ActionError(OnebusError):
    """An action failed. `certain` is False when the platform may have done it anyway."""

    code: ClassVar[str] = "action_error"
    certain: ClassVar[bool] = True

    def __init__(self, text: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.retry_after_s = retry_after_s


class BadParams(ActionError):
    """The call cannot be made with these parameters."""

    code = "bad_params"


class UnsupportedAction(ActionError):
    """The platform cannot do this."""

    code = "unsupported"


class NotFound(ActionError):
    """What the call names does not exist, or is not this account's."""

    code = "not_found"


class Forbidden(ActionError):
    """The platform refuses this to the account."""

    code = "forbidden"


class RateLimited(ActionError):
    """The platform refuses this for now; `retry_after_s` when it says for how long."""

    code = "rate_limited"


class PlatformUnavailable(ActionError):
    """The platform did not take the call: no connection, or an answer that says "later"."""

    code = "platform_unavailable"


class OutcomeUnknown(ActionError):
    """The call was on its way when something broke; the platform may have done it."""

    code = "outcome_unknown"
    certain = False


class InternalError(ActionError):
    """A fault of ours; details are in the log of the service, never in an answer."""

    code = "internal_error"
    certain = False


class SetupError(OnebusError):
    """An account cannot be opened."""


class NotReady(SetupError):
    """The platform is away; opening is tried again."""


class AuthFailed(SetupError):
    """The platform rejects the credentials; a human must act."""


class Misconfigured(SetupError):
    """The configuration is wrong; the text says what, where and how to mend it."""


class BusError(OnebusError):
    """NATS, or whoever should answer on it, is away."""


class BusUnavailable(BusError):
    """This process has no connection to NATS now; nothing was sent."""


class Stopping(BusError):
    """This process is about to end and starts nothing; nothing was sent."""


class AccountOffline(BusError):
    """Nobody serves the account now; nothing was delivered."""


class BusTimeout(BusError):
    """No answer came before the deadline; whether it was done is unknown."""


class ErrorData(Struct, frozen=True, omit_defaults=True):
    """An ActionError on the wire."""

    code: str
    text: str
    certain: bool = True
    retry_after_s: float | None = None


def error_data(error: ActionError) -> ErrorData:
    """ActionError → what crosses the bus."""
    return ErrorData(error.code, error.text, error.certain, error.retry_after_s)


def action_error(data: ErrorData) -> ActionError:
    """What crossed the bus → ActionError; a code from a newer version is an InternalError."""
    kinds = {kind.code: kind for kind in ActionError.__subclasses__()}
    return kinds.get(data.code, InternalError)(data.text, retry_after_s=data.retry_after_s)
