"""What is said on the sandbox: the log of events is its only store of messages.

A message gets its id here, before it is appended; it exists once the append is acknowledged, and
then every replica reads it.
"""

import secrets
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from connectors.sandbox.documents import Person, described, met
from connectors.sandbox.files import Files
from connectors.sandbox.group import (
    Group,
    GroupChange,
    Mask,
    check_may_write,
    check_outranks,
    present,
    with_mask,
    with_member,
)
from connectors.sandbox.groups import Groups, new_id
from connectors.sandbox.message import decode_sent, place_of_forward, with_forward_ids
from connectors.sandbox.state import State, check_id, check_message_id
from onebus import segment as seg
from onebus.action import Sent
from onebus.connector import Kit
from onebus.errors import BadParams, Forbidden, NotFound
from onebus.event import (
    AnonymousIdentity,
    Chat,
    MessageEdited,
    MessageRecalled,
    MessageReceived,
    MessageSent,
    User,
    private_chat,
)
from onebus.history import Message, message_now
from onebus.ids import ChatId, MessageId, UserId
from onebus.segment import Node, Segments

_ANIMALS = ("Badger", "Crane", "Dolphin", "Fox", "Heron", "Lynx", "Otter", "Panda", "Robin", "Yak")


class Speech(Struct, frozen=True):
    """What a person says: into `group`, or privately to the bot.

    `message` is the id that they chose; empty: the sandbox makes one.
    """

    user: UserId
    segments: Segments
    group: ChatId | None = None
    name: str = ""
    anonymous: bool = False
    notice: bool = False
    message: MessageId = MessageId("")


class Conversations:
    """Writes, changes, takes back and reads messages of one account."""

    def __init__(self, kit: Kit, state: State, groups: Groups) -> None:
        self._kit = kit
        self._state = state
        self._groups = groups
        self._files = Files(kit)

    async def say(self, speech: Speech) -> MessageId:
        """A person writes, into a group or to the bot. Returns when the log has it.

        Under an id of their choice it is one message however often it is said: the first stays.
        Raises BadParams, NotFound for an answer to an unknown message, Forbidden while muted.
        """
        now_ms = self._kit.now_ms()
        make = self._said_privately if speech.group is None else self._said_in_group
        message = speech.message and check_message_id(speech.message)
        event = await make(speech, message or MessageId(new_id(now_ms)), now_ms)
        await self._check_reply(event.chat, event.segments)
        segments = await self._files.checked(event.segments)
        segments = with_forward_ids(segments, event.chat, event.message)
        await self._kit.append(replace(event, segments=segments))
        return event.message

    async def send(self, chat: Chat, segments: Segments) -> Sent:
        """The bot writes; users and groups come into being when first named.

        Raises BadParams, NotFound for a forward that does not exist, Forbidden where it is muted.
        """
        now_ms = self._kit.now_ms()
        shown = tuple(s for s in segments if not isinstance(s, seg.Anonymous))
        event = MessageSent(
            account=self._kit.account,
            time_ms=now_ms,
            chat=chat,
            message=MessageId(new_id(now_ms)),
            sender=self._state.me,
            segments=await self._files.checked(decode_sent(await self._with_nodes(shown))),
        )
        wish = next((s for s in segments if isinstance(s, seg.Anonymous)), None)
        if chat.kind == "group":
            event = await self._sent_in_group(event, wish)
        else:
            await self._state.named(UserId(chat.id))
            if wish and not wish.ignore:
                raise BadParams("only in a group there are anonymous messages")
        segments = with_forward_ids(event.segments, event.chat, event.message)
        return await self._kit.append_sent([replace(event, segments=segments)])

    async def edit(
        self, chat: Chat, message: MessageId, editor: UserId, segments: Segments, edit: str = ""
    ) -> MessageEdited:
        """Give a message of one's own new content; `edit` is the event's id.

        The event is not logged here. Raises NotFound or Forbidden.
        """
        event = (await self.known(chat, message)).event
        if event.sender.id != await self._author(chat, editor, event.sender.id):
            raise Forbidden("only its author changes a message")
        await self._check_reply(chat, segments)
        segments = await self._files.checked(segments)
        now_ms = self._kit.now_ms()
        return MessageEdited(
            account=self._kit.account,
            time_ms=now_ms,
            id=edit or new_id(now_ms),
            chat=event.chat,
            message=message,
            editor=event.sender,
            segments=with_forward_ids(segments, chat, message),
        )

    async def recall(self, chat: Chat, message: MessageId, operator: UserId) -> int:
        """Take a message back: its author, or in a group who outranks the author; also twice.

        Returns the event's sequence. Raises NotFound or Forbidden.
        """
        found = await self._kit.log.of_message(self._kit.account, chat, message)
        if found is None or not isinstance(found.event, MessageReceived | MessageSent):
            raise NotFound(f"there is no message {message} in this chat")
        author = found.event.sender.id
        operator = await self._author(chat, operator, author)
        if author != operator:
            await self._check_may_recall(chat, operator, author)
        return await self._kit.append(
            MessageRecalled(
                account=self._kit.account,
                time_ms=self._kit.now_ms(),
                chat=found.event.chat,
                message=message,
                sender=author,
                operator=operator,
            )
        )

    async def known(self, chat: Chat, message: MessageId) -> Message:
        """A message as it is now. Raises NotFound, also for one that was taken back."""
        stored = await self._kit.log.of_message(self._kit.account, chat, message)
        if stored and isinstance(stored.event, MessageReceived | MessageSent):
            now = await message_now(self._kit.log, stored.sequence, stored.event)
            if not now.recalled:
                return now
        raise NotFound(f"there is no message {message} in this chat")

    async def forwarded(self, forward: str) -> tuple[Node, ...]:
        """The messages of a forward, by its id. Raises NotFound."""
        chat, message, place = place_of_forward(forward)
        segments = (await self.known(chat, message)).event.segments
        segment = segments[place] if place < len(segments) else None
        if not isinstance(segment, seg.Forward):
            raise NotFound(f"there is no forward {forward}")
        return segment.nodes

    async def _said_privately(
        self, speech: Speech, message: MessageId, now_ms: int
    ) -> MessageReceived:
        if speech.anonymous or speech.notice:
            raise BadParams("only in a group there are anonymous messages and notices")
        person = await self._person(speech, befriend=True)
        return MessageReceived(
            account=self._kit.account,
            time_ms=now_ms,
            chat=private_chat(speech.user),
            message=message,
            sender=person.user,
            segments=speech.segments,
            relation=await self._relation(person),
        )

    async def _said_in_group(
        self, speech: Speech, message: MessageId, now_ms: int
    ) -> MessageReceived:
        """Who writes into a group is in it. Raises Forbidden while muted."""
        sender = (await self._person(speech, befriend=False)).user
        group_id = ChatId(speech.group or "")
        group = await self._groups.enter(group_id, self._entering(speech.user, now_ms // 1000))
        event = MessageReceived(
            account=self._kit.account,
            time_ms=now_ms,
            chat=group.chat,
            message=message,
            sender=sender,
            segments=speech.segments,
            membership=present(group.member(sender.id), now_ms // 1000),
            notice=speech.notice,
        )
        if not speech.anonymous:
            return event
        mask = await self._mask(group_id, sender.id, now_ms // 1000)
        identity = AnonymousIdentity(mask.id, mask.name, mask.flag)
        masked = User(mask.id, mask.name)
        return replace(event, sender=masked, membership=None, anonymous=identity)

    async def _sent_in_group(self, event: MessageSent, wish: seg.Anonymous | None) -> MessageSent:
        """The bot in a group, anonymously if it wishes. Raises Forbidden."""
        me, now_s = self._state.me.id, event.time_ms // 1000
        group = await self._groups.enter(event.chat.id, lambda group: group)
        self._state.check_inside(group)
        check_may_write(group, me, now_s)
        member = present(group.member(me), now_s)
        event = replace(event, chat=group.chat, membership=member)
        if wish is None:
            return event
        try:
            mask = await self._mask(group.id, me, now_s)
        except Forbidden:
            if wish.ignore:
                return event
            raise
        return replace(event, sender=User(mask.id, mask.name), membership=None)

    def _entering(self, user: UserId, now_s: int) -> GroupChange:
        def change(group: Group) -> Group:
            if self._state.me.id not in group.members:
                raise Forbidden(f"nobody reads this: the bot is not in the group {group.id}")
            group = with_member(user, now_s)(group)
            check_may_write(group, user, now_s)
            return group

        return change

    async def _person(self, speech: Speech, *, befriend: bool) -> Person:
        name = speech.name and check_id("name", speech.name)
        called = described(name)
        if befriend:
            return await self._state.named(speech.user, lambda person: met(called(person)))
        return await self._state.named(speech.user, called)

    async def _relation(self, person: Person) -> Literal["friend", "group", "other"]:
        if person.friend:
            return "friend"
        both = {person.id, self._state.me.id}
        shared = (both <= group.members.keys() for group in await self._state.groups())
        return "group" if any(shared) else "other"

    async def _mask(self, group_id: ChatId, user: UserId, now_s: int) -> Mask:
        """Under what a member writes anonymously. Raises Forbidden."""
        number = secrets.randbelow(900) + 100
        token = secrets.token_hex(8)
        name = f"Anonymous {secrets.choice(_ANIMALS)} {number}"
        new = Mask(UserId(f"anonymous-{token}"), name, secrets.token_hex(12))
        group = await self._groups.enter(group_id, with_mask(user, new))
        mask = group.masks[user]
        if (left_s := mask.muted_until_s - now_s) > 0:
            raise Forbidden(f"{mask.name} is muted in the group {group_id} for {left_s} seconds")
        return mask

    async def _author(self, chat: Chat, user: UserId, author: UserId) -> UserId:
        """The user, or their mask in the group if that is who wrote."""
        if chat.kind == "private" or user == author:
            return user
        mask = (await self._state.group(chat.id)).masks.get(user)
        return mask.id if mask and mask.id == author else user

    async def _with_nodes(self, segments: Segments) -> Segments:
        """Who forwards a forward by its id sends its messages."""
        return tuple(
            [
                replace(segment, nodes=await self.forwarded(segment.id))
                if isinstance(segment, seg.Forward) and not segment.nodes
                else segment
                for segment in segments
            ]
        )

    async def _check_reply(self, chat: Chat, segments: Segments) -> None:
        """What is answered exists; it may have been taken back. Raises NotFound."""
        for segment in segments:
            if isinstance(segment, seg.Reply) and not await self._kit.log.of_message(
                self._kit.account, chat, segment.message
            ):
                raise NotFound(f"there is no message {segment.message} in this chat to answer")

    async def _check_may_recall(self, chat: Chat, operator: UserId, author: UserId) -> None:
        if chat.kind == "private":
            raise Forbidden("only its author takes a private message back")
        group = await self._state.group(chat.id)
        if author in group.members:
            check_outranks(group, operator, author)
        elif group.member(operator).role == "member":
            raise Forbidden(f"{operator} has no authority in the group {chat.id}")


def chat_of(user: str | None, group: str | None) -> Chat:
    """The chat that a person names: a group, or their own with the bot. Raises BadParams."""
    if (user is None) == (group is None):
        raise BadParams("name one of group and user")
    return private_chat(UserId(user)) if user is not None else Chat("group", ChatId(str(group)))
