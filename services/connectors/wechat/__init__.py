"""WeChat Official Account (https://developers.weixin.qq.com/doc/service/guide/).

Receives by webhook at any replica, answers inside the webhook's response when the bot is quick,
and by the customer-service API afterwards. Limits of the platform: private chats only; 5 messages
within 48 hours after each message of the user; text of 2,048 bytes a message (longer text is
split); pictures up to 10 MiB, AMR or MP3 up to 2 MiB, MP4 up to 10 MiB, each a message of its own
and kept by the platform for three days; template messages as cards that name a template; no recall,
no edits, no message ids for most of what we send.
"""

import uuid
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import ClassVar

from msgspec.structs import replace

from connectors.wechat import config as configuration
from connectors.wechat.answers import decode_user
from connectors.wechat.api import BATCH, Api
from connectors.wechat.config import Config
from connectors.wechat.encode import (
    MAX_TEXT_BYTES,
    MEDIA_TYPES,
    Draft,
    custom_message,
    encode_segments,
)
from connectors.wechat.menu import Menu
from connectors.wechat.tags import Tags
from connectors.wechat.template import template_message
from connectors.wechat.webhook import Webhook
from onebus import action as act
from onebus import connector
from onebus.action import Sent
from onebus.connector import Kit, SelfInfo, WebhookReply, WebhookRequest
from onebus.errors import (
    ActionError,
    BadParams,
    BusError,
    BusTimeout,
    Forbidden,
    Misconfigured,
    NotReady,
    OutcomeUnknown,
    PlatformUnavailable,
    UnsupportedAction,
)
from onebus.event import Chat, MessageSent, User
from onebus.ids import MessageId, UserId
from onebus.parts import send_parts
from onebus.segment import Card, Link, Text, Video

__all__ = ["Config", "Connector"]

MAX_REMARK = 30

NAMED_FOLLOWERS = 10_000
"""Of a longer list only so many are asked for their names; the rest are known by their ids."""


class Connector(connector.Connector[configuration.Config]):
    """One Official Account. Raises Misconfigured at once: with a bad secret nothing is safe."""

    Config = configuration.Config
    sends = ("text", "link", "image", "voice", "video")
    media_limits: ClassVar = {"image": 10 << 20, "voice": 2 << 20, "video": 10 << 20}
    redelivery_horizon_s = 60.0  # three times, 5 s apart

    def __init__(self, config: configuration.Config, kit: Kit) -> None:
        super().__init__(config, kit)
        if problems := [f"{key} {text}" for key, text in config.problems(exposed=False)]:
            raise Misconfigured(f"{kit.account}: {'; '.join(problems)}")
        self.pushes = Webhook(config, kit)
        self._api = Api(config, kit)
        self._tags = Tags(self._api, kit)
        self._me = User(UserId(config.app_id), config.nickname or config.app_id)

    async def open(self) -> SelfInfo:
        """Prove app id and secret by a token, set the menu. Raises NotReady or AuthFailed."""
        try:
            await self._api.token()
        except BusError as error:
            raise NotReady(str(error)) from error
        if self.config.menu:
            await self._set_menu(self.config.menu)
        return SelfInfo(self._me)

    async def _set_menu(self, menu: Menu) -> None:
        """Create the menu unless it is there. An account that may have none still serves."""
        try:
            if await self._api.menu() != menu:
                await self._api.create_menu(menu)
                self.kit.logger.info("the account has a new menu")
        except PlatformUnavailable as error:
            raise NotReady(f"the menu could not be set: {error}") from error
        except ActionError as error:
            self.kit.logger.warning("the account goes on without the configured menu: %s", error)

    async def webhook(self, request: WebhookRequest) -> WebhookReply:
        """Answer one push of the platform, at any replica."""
        return await self.pushes.handle(request)

    async def send_message(self, action: act.SendMessage) -> Sent:
        """Reply inside an open webhook request if there is one, else by the customer-service API.

        Only a single text fits into a reply. Raises ActionError; when some parts of a longer
        message went out and the next did not, they are logged and the error is OutcomeUnknown.
        """
        if action.chat.kind != "private":
            raise UnsupportedAction("WeChat Official Accounts have no groups")
        encoded = encode_segments(action.segments, cards=self.config.customer_service)
        first = encoded.drafts[0]
        if len(encoded.drafts) == 1 and isinstance(first, Text):
            message = await self._offer(action.chat, first)
            if message is not None:
                event = self._event(action.chat, first, message)
                return await self.kit.append_sent([event], degraded=encoded.degraded)
        return await self._push(action.chat, encoded.drafts, encoded.degraded)

    async def _offer(self, chat: Chat, text: Text) -> MessageId | None:
        """The reply's id if an open request took it. Raises OutcomeUnknown, PlatformUnavailable."""
        try:
            return await self.kit.passive.offer(chat, (text,))
        except BusTimeout as error:
            raise OutcomeUnknown(f"it may have been sent as a passive reply: {error}") from error
        except BusError as error:
            raise PlatformUnavailable(f"nothing was sent: {error}") from error

    async def _push(self, chat: Chat, drafts: Sequence[Draft], degraded: tuple[str, ...]) -> Sent:
        """Send by the customer-service API, which gives no ids: we make them; or as templates."""
        templates = all(isinstance(draft, Card) for draft in drafts)
        if not (self.config.customer_service or templates):
            raise Forbidden(
                "customer_service is false: only one text of at most "
                f"{MAX_TEXT_BYTES} bytes within {self.config.passive_window_s:g} s of a message "
                "of the user can be sent"
            )
        ready = [await self._uploaded(draft) for draft in drafts]
        return await send_parts(
            self.kit,
            ready,
            partial(self._push_one, chat),
            partial(self._event, chat),
            degraded=degraded,
        )

    async def _push_one(self, chat: Chat, draft: Draft) -> MessageId:
        if isinstance(draft, Card):
            number = await self._api.send_template(template_message(chat.id, draft))
            return MessageId(f"template-{number or uuid.uuid4().hex}")
        thumbnail = await self._api.thumbnail() if isinstance(draft, Video) else ""
        await self._api.send(custom_message(chat.id, draft, thumbnail))
        return MessageId(f"cs-{uuid.uuid4().hex}")

    async def _uploaded(self, draft: Draft) -> Draft:
        """A file under the platform's own id, before anything is sent. Raises BadParams."""
        if isinstance(draft, Card):
            template_message("", draft)  # what it cannot say is refused before anything is sent
        if isinstance(draft, Text | Link | Card):
            return draft
        kind = str(draft.__struct_config__.tag)
        media = await self.kit.media.open(draft)
        if media.content_type not in MEDIA_TYPES[kind]:
            taken = ", ".join(MEDIA_TYPES[kind])
            raise BadParams(f"WeChat takes no {media.content_type} as {kind}: {taken}")
        media_id = await self._api.upload(kind, media)
        await self.kit.media.keep(media_id, media)
        return replace(draft, file=media_id, name=media.name, size_bytes=media.size_bytes, url="")

    async def get_media(self, action: act.GetMedia) -> act.MediaFile:
        """Download a temporary file, ours or a user's, within three days."""

        async def keep(chunks: AsyncIterator[bytes], content_type: str) -> act.MediaFile:
            return await self.kit.media.put(chunks, name=action.kind, content_type=content_type)

        found = await self._api.media(action.file, keep)
        return act.MediaFile(action.file, found) if isinstance(found, str) else found

    def _event(self, chat: Chat, draft: Draft, message: MessageId) -> MessageSent:
        """What was sent, as an event: the one place that builds it."""
        return MessageSent(
            account=self.kit.account,
            time_ms=self.kit.now_ms(),
            chat=chat,
            message=message,
            sender=self._me,
            segments=(draft,),
        )

    async def get_user(self, action: act.GetUser) -> User:
        """Describe a follower; asks the platform each time."""
        if action.user == self._me.id:
            return self._me
        answer = await self._api.user(action.user)
        return decode_user(answer, action.user, await self._tags.names(answer))

    async def set_remark(self, action: act.SetRemark) -> None:
        """Note a name of a follower, of less than 30 characters. Raises BadParams."""
        if len(action.remark) >= MAX_REMARK:
            raise BadParams(f"WeChat takes a remark of less than {MAX_REMARK} characters")
        await self._api.set_remark(action.user, action.remark)

    async def get_friends(self, action: act.GetFriends) -> tuple[User, ...]:  # noqa: ARG002
        """List the followers, with names for the first NAMED_FOLLOWERS."""
        openids = await self._api.followers()
        users = {openid: User(UserId(openid), openid) for openid in openids}
        for start in range(0, min(len(openids), NAMED_FOLLOWERS), BATCH):
            for answer in await self._api.users(openids[start : start + BATCH]):
                if answer.openid in users:
                    names = await self._tags.names(answer)
                    users[answer.openid] = decode_user(answer, answer.openid, names)
        return tuple(users.values())
