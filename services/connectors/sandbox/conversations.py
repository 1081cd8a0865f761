"""What is said on the sandbox: the log of events is its only store of messages.

A message gets its id here, before it is appended; it exists once the append is acknowledged, and
then every replica reads it.
"""

from msgspec import Struct

from connectors.sandbox.groups import Groups, new_id
from connectors.sandbox.message import Json, decode_sent, messages_of
from connectors.sandbox.state import Group, State, check_outranks, with_member
from onebus import segment as seg
from onebus import subjects
from onebus.action import Sent
from onebus.connector import Kit
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import (
    Chat,
    Membership,
    MessageRecalled,
    MessageReceived,
    MessageSent,
    User,
    private_chat,
)
from onebus.ids import ChatId, MessageId, UserId
from onebus.log import Stored
from onebus.segment import Segments

MAX_RECALLS = 100_000


class History(Struct, frozen=True):
    """Messages of a chat, oldest first; `truncated` when there were older ones than the limit."""

    messages: list[Json]
    truncated: bool


class Conversations:
    """Writes, takes back and lists messages of one account."""

    def __init__(self, kit: Kit, state: State, groups: Groups) -> None:
        self._kit = kit
        self._state = state
        self._groups = groups

    async def say(
        self, user: UserId, group: ChatId | None, segments: Segments, name: str = ""
    ) -> MessageId:
        """A person writes, into a group or to the bot. Returns when the log has it.

        Raises BadParams, NotFound for an answer to an unknown message, Forbidden while muted.
        """
        sender = await self._state.named_user(user, name)
        chat, member = private_chat(user), None
        if group is not None:
            chat, member = await self._enter(group, sender)
        await self._check_reply(chat, segments)
        now_ms = self._kit.now_ms()
        event = MessageReceived(
            account=self._kit.account,
            time_ms=now_ms,
            chat=chat,
            message=MessageId(new_id(now_ms)),
            sender=sender,
            segments=segments,
            membership=member,
        )
        await self._kit.append(event)
        return event.message

    async def send(self, chat: Chat, segments: Segments) -> Sent:
        """The bot writes; users and groups come into being when first named. Raises BadParams."""
        segments = decode_sent(segments)
        member = None
        if chat.kind == "private":
            await self._state.named_user(UserId(chat.id))
        else:
            group = await self._groups.enter(chat.id, _unchanged)
            chat, member = group.chat, group.member(self._state.me.id)
        now_ms = self._kit.now_ms()
        event = MessageSent(
            account=self._kit.account,
            time_ms=now_ms,
            chat=chat,
            message=MessageId(new_id(now_ms)),
            sender=self._state.me,
            segments=segments,
            membership=member,
        )
        return await self._kit.append_sent([event])

    async def recall(self, chat: Chat, message: MessageId, operator: UserId) -> None:
        """Take a message back: its author, or in a group who outranks the author; also twice.

        Raises NotFound or Forbidden.
        """
        stored = await self._stored(chat, message)
        if stored is None:
            raise NotFound(f"there is no message {message} in this chat")
        author = stored.sender.id
        if author != operator:
            await self._check_may_recall(chat, operator, author)
        await self._kit.append(
            MessageRecalled(
                account=self._kit.account,
                time_ms=self._kit.now_ms(),
                chat=chat,
                message=message,
                sender=author,
                operator=operator,
            )
        )

    async def history(self, chat: Chat, after: MessageId | None, limit: int) -> History:
        """The last messages of a chat, of those after the given one. Raises NotFound."""
        account, log = self._kit.account, self._kit.log
        start = 1
        if after is not None:
            known = await log.of_message(account, chat, after)
            if known is None:
                raise NotFound(f"there is no message {after} in this chat")
            start = known.sequence + 1
        entries = await log.read(subjects.messages_of(account, chat), start=start, limit=limit + 1)
        listed = entries[-limit:]
        return History(messages_of(listed, await self._recalled(chat, listed)), listed != entries)

    async def _recalled(self, chat: Chat, entries: list[Stored]) -> frozenset[MessageId]:
        """Which messages were taken back; a recall is always later than its message."""
        if not entries:
            return frozenset()
        recalls = await self._kit.log.read(
            subjects.recalls_of(self._kit.account, chat),
            start=entries[0].sequence,
            limit=MAX_RECALLS,
        )
        events = (recall.event for recall in recalls)
        return frozenset(event.message for event in events if isinstance(event, MessageRecalled))

    async def _enter(self, group_id: ChatId, user: User) -> tuple[Chat, Membership]:
        """Who writes into a group is in it. Raises Forbidden while muted."""
        now_s = self._groups.now_s()
        group = await self._groups.enter(group_id, with_member(user.id, now_s))
        member = group.member(user.id)
        if member.muted_until_s > now_s:
            left_s = member.muted_until_s - now_s
            raise Forbidden(f"{user.id} is muted in the group {group_id} for {left_s} more seconds")
        return group.chat, member

    async def _check_reply(self, chat: Chat, segments: Segments) -> None:
        for segment in segments:
            if isinstance(segment, seg.Reply) and not await self._stored(chat, segment.message):
                raise NotFound(f"there is no message {segment.message} in this chat to answer")

    async def _check_may_recall(self, chat: Chat, operator: UserId, author: UserId) -> None:
        if chat.kind == "private":
            raise Forbidden("only its author takes a private message back")
        group = await self._state.group(chat.id)
        if author in group.members:
            check_outranks(group, operator, author)
        elif group.member(operator).role == "member":
            raise Forbidden(f"{operator} has no authority in the group {chat.id}")

    async def _stored(self, chat: Chat, message: MessageId) -> MessageReceived | MessageSent | None:
        stored = await self._kit.log.of_message(self._kit.account, chat, message)
        if stored and isinstance(stored.event, MessageReceived | MessageSent):
            return stored.event
        return None


def chat_of(user: str | None, group: str | None) -> Chat:
    """The chat that a person names: a group, or their own with the bot. Raises BadParams."""
    if (user is None) == (group is None):
        raise BadParams("name one of group and user")
    return private_chat(UserId(user)) if user is not None else Chat("group", ChatId(str(group)))


def _unchanged(group: Group) -> Group:
    return group
