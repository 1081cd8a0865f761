"""Every outcome of an action as an answer: status, retcode and what to tell a human.

`status` is `ok` exactly when `retcode` is 0, `async` exactly when it is 1, else `failed`. 14xx are
the standard's own; it names none for ordinary failures, so ours are the stable list below.

| retcode | meaning |
|---|---|
| 1400 | the parameters are wrong |
| 1404 | there is no such action |
| 10001 | the platform cannot do this |
| 10002 | no such message, user, group… |
| 10003 | the platform refuses it to this account |
| 10004 | rate limited |
| 10005 | the platform did not take the call |
| 10006 | it may have been done |
| 10007 | a fault of onebus |
| 10008 | this frontend has no connection to NATS |
| 10009 | the account is offline |
| 10010 | no answer in time; it may have been done |
| 10011 | this frontend is stopping |

Source: https://github.com/botuniverse/onebot-11/tree/master/communication and `api/README.md`.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from onebus import errors
from onebus.codec import encode
from onebus.errors import OnebusError

OK = 0
ASYNC = 1
BAD_PARAMS = 1400
UNKNOWN_ACTION = 1404
INTERNAL_ERROR = 10007


class UnknownAction(OnebusError):
    """OneBot V11 has no such action, or it is not offered here."""


class Answer(Struct, frozen=True):
    """The answer to an action. `message` is the error's own text, `wording` what it means.

    `echo` is the request's, to the byte; a request without one is answered without one.
    """

    status: Literal["ok", "async", "failed"]
    retcode: int
    data: Any = None
    message: str = ""
    wording: str = ""
    echo: Raw | UnsetType = UNSET


RETCODES: dict[type[OnebusError], tuple[int, str]] = {
    errors.BadParams: (BAD_PARAMS, "The parameters are wrong."),
    UnknownAction: (UNKNOWN_ACTION, "There is no such action."),
    errors.UnsupportedAction: (10001, "The platform cannot do this."),
    errors.NotFound: (10002, "It does not exist, or is not this account's."),
    errors.Forbidden: (10003, "The platform refuses this to the account."),
    errors.RateLimited: (10004, "The platform allows no more of this for now; try again later."),
    errors.PlatformUnavailable: (10005, "The platform did not take the call; try again later."),
    errors.OutcomeUnknown: (10006, "It may have been done; do not repeat it blindly."),
    errors.InternalError: (INTERNAL_ERROR, "A fault of onebus; its log has the details."),
    errors.BusUnavailable: (10008, "This frontend has no connection to NATS; nothing was sent."),
    errors.AccountOffline: (10009, "The account is offline; nothing was sent."),
    errors.BusTimeout: (10010, "No answer came in time; it may have been done."),
    errors.Stopping: (10011, "This frontend is stopping; nothing was sent. Connect again."),
}
"""The retcode and wording of each error. Numbers are never given a new meaning."""


def retcode_of(error: OnebusError) -> tuple[int, str]:
    """An error's retcode and wording; a class without its own has the one it is a kind of."""
    for kind in type(error).__mro__:
        if kind in RETCODES:
            return RETCODES[kind]
    return RETCODES[errors.InternalError]


def ok(data: Any, echo: Raw | UnsetType = UNSET, *, note: str = "") -> Answer:
    """It was done; `note` says what went differently than asked."""
    return Answer("ok", OK, data, message=note, echo=echo)


def accepted(echo: Raw | UnsetType = UNSET) -> Answer:
    """It will be done, and nobody will hear how it went: `_async` and `_rate_limited`."""
    return Answer("async", ASYNC, echo=echo)


def failed(error: OnebusError, echo: Raw | UnsetType = UNSET) -> Answer:
    """It was not done, or nobody knows."""
    retcode, wording = retcode_of(error)
    text = "" if retcode == INTERNAL_ERROR else str(error)
    return Answer("failed", retcode, message=text or wording, wording=wording, echo=echo)


def encode_answer(answer: Answer) -> bytes:
    """An answer as compact JSON, its echo untouched."""
    return encode(answer)


class _Echo(Struct, frozen=True):
    echo: Raw | UnsetType = UNSET


_ECHO = msgspec.json.Decoder(_Echo)


def echo_of(frame: bytes) -> Raw | UnsetType:
    """The echo of a request as it was written; UNSET when there is none.

    The frame is a JSON object that was checked for depth. Raises msgspec.MsgspecError.
    """
    echo = _ECHO.decode(frame).echo
    # A copy: a Raw is a window that would keep the whole frame alive.
    return echo if isinstance(echo, UnsetType) else echo.copy()
