"""Telegram bots (https://core.telegram.org/bots/api), by long polling or webhook.

Ids: people keep Telegram's number; a group is `-100…`, a topic of a forum is a group of its own,
`{group}:{thread}`, whose parent is the group; a message's number counts within its chat alone.
Looks (bold, spoilers…) are not kept; a link keeps its address. A file's `file` is
`{file_id}.{kind}`, and can be sent again as it is.

Limits of the platform. A bot sees no deletions, cannot list its groups or a group's members, and
reads no history. It gets member and reaction events only as an admin, in groups of any kind, and
group messages that do not concern it only with privacy mode off (@BotFather). Text of 4,096 UTF-16
units a message and 1,024 below a file (longer is split); files of 50 MB up and 20 MB down, by
Telegram's own server; about 30 messages a second, 20 a minute into one group. A mute lasts 30 s at
least. Titles are of admins alone. Albums are one message when polling; by webhook each picture is
one. Not here: inline mode, payments, stories, business accounts.
"""

from connectors.telegram import config as configuration
from connectors.telegram import wire
from connectors.telegram.answers import setup_error
from connectors.telegram.api import BotApi
from connectors.telegram.chats import decode_user, encode_user
from connectors.telegram.config import Config
from connectors.telegram.decode import ALLOWED_UPDATES
from connectors.telegram.downloads import Downloads
from connectors.telegram.groups import Groups
from connectors.telegram.intake import Intake
from connectors.telegram.known import Known
from connectors.telegram.messages import Messages
from connectors.telegram.poll import Poller
from connectors.telegram.sending import Sender
from connectors.telegram.webhook import Webhook
from onebus import action as act
from onebus import connector
from onebus.action import Sent
from onebus.connector import Kit, SelfInfo, WebhookReply, WebhookRequest
from onebus.errors import ActionError, BadParams, Misconfigured
from onebus.event import User

__all__ = ["Config", "Connector"]

MAX_UPLOAD_BYTES = 50 << 20
PATIENCE_S = 30.0


class Connector(connector.Connector[configuration.Config]):
    """One bot. Raises Misconfigured at once: without a secret anybody could call its webhook."""

    Config = configuration.Config
    sends = (
        "text",
        "mention",
        "reply",
        "image",
        "voice",
        "video",
        "file",
        "emoji",
        "location",
        "link",
        "dice",
    )
    media_limits = dict.fromkeys(("image", "voice", "video", "file"), MAX_UPLOAD_BYTES)
    redelivery_horizon_s = 86_400.0  # Telegram keeps updates for a day

    def __init__(self, config: configuration.Config, kit: Kit) -> None:
        super().__init__(config, kit)
        problems = [f"{key} {text}" for key, text in config.problems(exposed=False)]
        if config.mode == "webhook" and not self._address():
            problems.append("webhook_url is empty, and so is the top-level public_url")
        if problems:
            raise Misconfigured(f"{kit.account}: {'; '.join(problems)}")
        self._api = BotApi(config, kit)
        self._known = Known(self._api, config.bot_id)
        self.intake = Intake(kit, self._api, self._known)
        self._poller = Poller(config, kit, self._api, self.intake)
        self._pushes = Webhook(config, kit, self.intake)
        self._sender = Sender(kit, self._api, self._known)
        self._messages = Messages(kit, self._api, self._known)
        self._groups = Groups(self._api, self._known)
        self._downloads = Downloads(kit, self._api)

    async def open(self) -> SelfInfo:
        """Ask who the bot is, and say how its updates are to come."""
        self._poller.forget()
        try:
            me = await self._known.me(fresh=True)
            await self._arrange()
        except ActionError as error:
            raise setup_error(error) from error
        return SelfInfo(decode_user(me))

    async def run(self) -> None:
        """Ask for updates, or wait while Telegram calls. Raises NotReady or AuthFailed."""
        if self.config.mode == "webhook":
            await super().run()
        await self.kit.reconnecting(self._poller.connect, patience_s=PATIENCE_S)

    async def webhook(self, request: WebhookRequest) -> WebhookReply:
        """Answer one call of Telegram, at any replica."""
        return await self._pushes.handle(request)

    def _address(self) -> str:
        if self.config.webhook_url or not self.kit.public_url:
            return self.config.webhook_url
        account = self.kit.account
        return f"{self.kit.public_url}/{account.platform}/{account.account_id}/webhook"

    async def _arrange(self) -> None:
        """Set the webhook, or take away the one that is in the way of polling.

        Sources: https://core.telegram.org/bots/api#setwebhook and #deletewebhook
        """
        if self.config.mode == "poll":
            info = await self._api.read("getWebhookInfo", wire.WebhookInfo)
            if info.url:
                self.kit.logger.info("a webhook is set, which is taken away: mode is poll")
                await self._api.change("deleteWebhook")
            return
        try:
            await self._api.change(
                "setWebhook",
                url=self._address(),
                secret_token=self.config.webhook_secret,
                allowed_updates=ALLOWED_UPDATES,
            )
        except BadParams as error:
            raise Misconfigured(f"webhook_url: {error}") from error

    async def send_message(self, action: act.SendMessage) -> Sent:
        """Send a message; long text and many files become several."""
        return await self._sender.send(action)

    async def recall_message(self, action: act.RecallMessage) -> None:
        """Delete a message: the bot's own, or as an admin anybody's; for 48 hours."""
        await self._messages.recall(action)

    async def edit_message(self, action: act.EditMessage) -> None:
        """Give a message of the bot's new words."""
        await self._messages.edit(action)

    async def pin_message(self, action: act.PinMessage) -> None:
        """Pin a message, or unpin it."""
        await self._messages.pin(action)

    async def react(self, action: act.React) -> None:
        """Put a reaction on a message, or take it off."""
        await self._messages.react(action)

    async def get_user(self, action: act.GetUser) -> User:
        """Describe somebody who has written to the bot, or been in a group with it."""
        chat = await self._api.read("getChat", wire.Chat, chat_id=encode_user(action.user))
        name = f"{chat.first_name} {chat.last_name}".strip() or chat.username
        return User(action.user, name)

    async def get_group(self, action: act.GetGroup) -> act.Group:
        """Describe a group or channel that the bot is in."""
        return await self._groups.info(action.group)

    async def get_member(self, action: act.GetMember) -> act.Member:
        """Describe a member."""
        return await self._groups.member(action)

    async def kick_member(self, action: act.KickMember) -> None:
        """Remove somebody; they may come back, unless `reject_future`."""
        await self._groups.kick(action)

    async def mute_member(self, action: act.MuteMember) -> None:
        """Let somebody write nothing for a while."""
        await self._groups.mute(action, self.kit.now_ms() // 1000)

    async def mute_group(self, action: act.MuteGroup) -> None:
        """Let nobody but admins write; a topic is closed."""
        await self._groups.mute_all(action)

    async def set_role(self, action: act.SetRole) -> None:
        """Make somebody an admin with the bot's own rights, or a plain member."""
        await self._groups.set_role(action)

    async def set_title(self, action: act.SetTitle) -> None:
        """Give an admin whom the bot has made a title."""
        await self._groups.set_title(action)

    async def rename_group(self, action: act.RenameGroup) -> None:
        """Rename a group or topic."""
        await self._groups.rename(action)

    async def leave_group(self, action: act.LeaveGroup) -> None:
        """Leave a group or channel."""
        await self._groups.leave(action)

    async def answer_group_request(self, action: act.AnswerGroupRequest) -> None:
        """Let somebody in who asked to join, or not."""
        await self._groups.answer(action)

    async def get_media(self, action: act.GetMedia) -> act.MediaFile:
        """Fetch a file that a message named."""
        return await self._downloads.get(action)
