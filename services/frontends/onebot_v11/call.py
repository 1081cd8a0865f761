"""One call of an action: its parameters in the account's own terms, and the way to its owner."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from frontends.onebot_v11.cq import RawSegment
from frontends.onebot_v11.from_onebot import from_onebot_message, only_text, wire_ids
from frontends.onebot_v11.lookup import StoredMessage
from frontends.onebot_v11.params import KEY, read_bool, read_id, read_optional_id
from frontends.onebot_v11.references import Numbers, References
from frontends.onebot_v11.retcode import Answer
from frontends.onebot_v11.upload import may_bring_files, with_stored
from frontends.onebot_v11.view import View
from onebus.action import Action
from onebus.caller import DEADLINE_S
from onebus.errors import (
    AccountOffline,
    BusError,
    BusTimeout,
    BusUnavailable,
    OnebusError,
    OutcomeUnknown,
    PlatformUnavailable,
)
from onebus.event import Chat, User, group_chat, private_chat
from onebus.ids import ChatId, UserId
from onebus.once import changes
from onebus.segment import Segments

if TYPE_CHECKING:
    from frontends.onebot_v11.session import Session
    from frontends.onebot_v11.shared import Identity

R = TypeVar("R")

LAST_S = 0.1
"""The owner's answer is awaited until so long before the call's end, or it is not asked at all."""


LONG_S = 120.0
"""How long an action on files may take."""
LONG = frozenset(
    {
        "upload_group_file",
        "upload_private_file",
        "get_image",
        "get_record",
        "get_file",
        "get_group_file_url",
        "get_private_file_url",
    }
)


def deadline_s(name: str) -> float:
    """Within how many seconds an action must be answered."""
    return LONG_S if name in LONG else DEADLINE_S


class Call:
    """One call of an action. `notes` collects what went differently than asked.

    `as_text`: the parameters came from a query or form. What reads a parameter raises BadParams,
    and NotFound for an id that nobody has. `ends_at_s`: when it must be answered, by the clock of
    the loop; without it an action has the usual time from when it is asked for. `stage`: how far
    something that changes anything has come.
    """

    def __init__(
        self,
        session: "Session",
        params: Mapping[str, Any],
        *,
        as_text: bool,
        idempotency_key: str = "",
        ends_at_s: float | None = None,
    ) -> None:
        self.session = session
        self.params = params
        self.as_text = as_text
        self.idempotency_key = idempotency_key
        self.ends_at_s = ends_at_s
        self.notes: list[str] = []
        self.stage: Literal["unsent", "asking", "done"] = "unsent"

    def identity(self) -> Coroutine[Any, Any, "Identity"]:
        """Who the account is. Raises AccountOffline or BusError."""
        return self.session.identity()

    async def ask(self, action: Action[R]) -> R:
        """Let the account's owner do it. Raises ActionError or BusError."""
        left_s = self._left_s()
        if left_s < LAST_S:
            error = self.out_of_time()
            self.stage = "asking"
            raise error
        self.stage = "asking"
        result = await self.session.caller.call(
            self.session.account,
            action,
            timeout_s=left_s,
            idempotency_key=self.idempotency_key,
        )
        self.stage = "done" if changes(action) else "unsent"
        return result

    async def run(self, name: str, params: Mapping[str, Any]) -> Answer:
        """Run another action as part of this one, in the same form, time and with the same key."""
        if self.idempotency_key:
            params = {**params, KEY: self.idempotency_key}
        return await self.session.execute(name, params, as_text=False, ends_at_s=self.ends_at_s)

    def failure(self, error: OnebusError) -> OnebusError:
        """What an error means for the whole call: only what was asked for may have been done."""
        if not isinstance(error, BusError) or self.stage == "asking":
            return error
        if self.stage == "done":
            return OutcomeUnknown(f"it was done, but its result could not be read: {error}")
        if isinstance(error, AccountOffline | BusUnavailable):
            return error
        return BusUnavailable("NATS did not answer a look-up, so nothing was sent")

    def out_of_time(self) -> OnebusError:
        """What it means that the time of the call is over."""
        if self.stage == "asking":
            return BusTimeout("no answer came in time")
        if self.stage == "done":
            return OutcomeUnknown("it was done, but its result could not be read in time")
        if self.idempotency_key:  # what it waited for may be a call with the same key
            return BusTimeout("its turn did not come in time")
        return PlatformUnavailable("the time was over before it was sent: others were before it")

    def _left_s(self) -> float:
        if self.ends_at_s is None:
            return DEADLINE_S
        return self.ends_at_s - asyncio.get_running_loop().time() - LAST_S

    async def user(self) -> UserId:
        """The parameter `user_id`."""
        return await (await self.identity()).lookup.user(read_id(self.params, "user_id"))

    async def group(self) -> ChatId:
        """The parameter `group_id`."""
        return await (await self.identity()).lookup.group(read_id(self.params, "group_id"))

    async def chat(self) -> Chat:
        """The group of `group_id` if it is given, else the private chat with `user_id`."""
        if read_optional_id(self.params, "group_id") is not None:
            return group_chat(await self.group())
        return private_chat(await self.user())

    async def message(self, *names: str) -> StoredMessage:
        """The message of `message_id`, or of the first of these names that is given."""
        message_id = read_id(self.params, *(names or ("message_id",)))
        return await (await self.identity()).lookup.message(message_id)

    async def segments(self, raw: Sequence[RawSegment], chat: Chat) -> Segments:
        """Segments as a bot wrote them, ready to be sent to this chat. Raises BadParams."""
        if text := only_text(raw):
            return text
        natives = await (await self.identity()).lookup.natives(wire_ids(raw), chat)
        translated = from_onebot_message(raw, natives)
        self.notes += translated.notes
        session, segments = self.session, translated.segments
        if not may_bring_files(segments):
            return segments
        return await with_stored(segments, session.store(), session.media.settings)

    def fresh(self) -> bool:
        """The parameter `no_cache`."""
        return read_bool(self.params, "no_cache", default=False)

    async def view(self, wanted: References) -> View:
        """How the bot sees the account, with the numbers of these ids."""
        identity = await self.identity()
        return View(
            identity.self_id,
            identity.record.self_user.id,
            await identity.lookup.numbers(wanted),
            self.session.config.post_message_format,
            links=self.session.links(identity.record),
        )

    async def number(self, user: UserId) -> int:
        """The number of a user."""
        return await (await self.identity()).lookup.number(user)

    async def numbers(self, users: Iterable[User], *groups: ChatId) -> Numbers:
        """The numbers of these users and groups."""
        wanted = References(frozenset(user.id for user in users), frozenset(groups))
        return await (await self.identity()).lookup.numbers(wanted)


Handler: TypeAlias = Callable[[Call], Awaitable[Any]]
"""What an action does: the answer's `data`, or the whole `retcode.Answer` if it is not `ok`."""
