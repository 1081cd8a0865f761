"""What the Bot API says instead of a result → our errors. Pure.

Source: https://core.telegram.org/bots/api#making-requests; the texts are those that
https://github.com/tdlib/telegram-bot-api sends, which are no contract: what none of them matches
keeps the meaning of its number.
"""

import re

from connectors.telegram.wire import Envelope
from onebus.errors import (
    ActionError,
    AuthFailed,
    BadParams,
    Forbidden,
    NotFound,
    NotReady,
    PlatformUnavailable,
    RateLimited,
    SetupError,
)

_NOT_FOUND = re.compile(
    r"not found|not_found|invalid user_id|participant_id_invalid|user_id_invalid"
    r"|message_id_invalid|hide_requester_missing|user_not_participant|wrong file|invalid file_id",
    re.IGNORECASE,
)
_NOT_ALLOWED = re.compile(
    r"not enough rights|chat_admin_required|administrator|can't be deleted|can't be edited"
    r"|have no rights|need to be|not a member|right_forbidden|can't remove chat owner|user_is",
    re.IGNORECASE,
)
_UNCHANGED = re.compile(r"is not modified|chat_not_modified", re.IGNORECASE)


class Unchanged(BadParams):
    """It is so already: to the bot that asked for it, as good as done."""


class Migrated(BadParams):
    """The group has become a supergroup and has another id; nothing was done."""

    def __init__(self, text: str, to: int) -> None:
        super().__init__(text)
        self.to = to


class Conflicting(PlatformUnavailable):
    """Somebody else asks for this bot's updates, or has them sent to an address."""


def action_error(envelope: Envelope, said: str) -> ActionError:
    """A refusal → an error of an action; `said` is its description without secrets."""
    text = f"Telegram: {said} ({envelope.error_code})"
    parameters = envelope.parameters
    if parameters.migrate_to_chat_id is not None:
        return Migrated(text, parameters.migrate_to_chat_id)
    match envelope.error_code:
        case 401 | 404:  # 404 is a path that does not exist: a token of a wrong form
            return Forbidden(f"{text}; is the token right?")
        case 403:
            return Forbidden(text)
        case 409:
            return Conflicting(text)
        case 429:
            return RateLimited(text, retry_after_s=parameters.retry_after)
        case code if code >= 500:
            return PlatformUnavailable(text)
    return _bad_request(text)


def _bad_request(text: str) -> ActionError:
    if _UNCHANGED.search(text):
        return Unchanged(text)
    if _NOT_ALLOWED.search(text):
        return Forbidden(text)
    if _NOT_FOUND.search(text):
        return NotFound(text)
    return BadParams(text)


def setup_error(error: ActionError) -> SetupError:
    """Why the account cannot be opened: the token is refused, or Telegram is away."""
    return AuthFailed(error.text) if isinstance(error, Forbidden) else NotReady(error.text)


def conflict(said: str) -> NotReady:
    """What a 409 of getUpdates means, for whoever has to mend it.

    Source: https://core.telegram.org/bots/api#getupdates, notes 1 and 2
    """
    if "webhook" in said:
        return NotReady(
            "somebody has set a webhook for this bot, so its updates cannot be asked for (409):"
            " stop whoever did, or set mode: webhook"
        )
    return NotReady(
        "another program asks for this bot's updates too (409), and only one may: stop it, or give"
        " this account a bot of its own"
    )
