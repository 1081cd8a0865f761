"""Contract: what goes to the platform, at its pace and once. Part of `onebus.testing.contract`."""

import asyncio
import logging
import random
from collections.abc import Iterator

import pytest

from onebus import deadline
from onebus.action import SendMessage, Sent
from onebus.connector import Connector, capabilities
from onebus.errors import ActionError, OnebusError
from onebus.event import Chat, MessageSent
from onebus.segment import Text
from onebus.testing.play import Play, Replica
from onebus.testing.receiving import WebhookContract
from onebus.testing.subject import Arrived, Refusal

EACH = 8
"""Messages into each chat."""
SHARE = 0.2
PAUSE_S = 1.0
UNDER_WAY_S = 0.1
"""A call into another chat that was under way when one was refused may arrive for so long."""
DEADLINE_S = 60.0


async def said(replica: Replica, chat: Chat, text: str) -> Sent:
    """The bot says something."""
    with deadline.within(DEADLINE_S):
        return await replica.connector.send_message(SendMessage(chat, (Text(text),)))


class CallingContract(WebhookContract):
    """What bots do."""

    def _sends(self) -> bool:
        return "send_message" in capabilities(self.kind())

    async def test_who_calls_an_api_can_be_refused(self) -> None:
        """`calls_api = False` would leave out half of what is tested here."""
        async with self.play() as on:
            replica = on.replica()
            assert on.subject.calls_api or not replica.kit.apis, "it calls an API: play it"

    async def test_what_is_sent_is_logged_under_the_platforms_id(self) -> None:
        """And its number is what the bot is told."""
        if not self._sends():
            return
        async with self.play() as on:
            replica = await on.started()
            sent = await said(replica, on.subject.chats[0], "hello")
            stored = [one for one in on.memory.stored() if isinstance(one.event, MessageSent)]
            assert [(one.event.message, one.sequence) for one in stored] == [
                (sent.message, sent.sequence)
            ]
            if on.subject.calls_api:
                assert [call.text for call in on.subject.accepted] == ["hello"]

    async def test_r11_what_the_platform_puts_off_is_sent_in_its_time(self) -> None:
        """A fifth of all calls: none dropped, none too early, each chat in its order."""
        async with self.play() as on:
            if not (self._sends() and on.subject.calls_api):
                return
            replica = await on.started()
            on.subject.refusals = self._some_refusals()
            await asyncio.gather(*(self._conversation(replica, c) for c in on.subject.chats))
            self._check_order(on)
            refused = [call for call in on.subject.arrived if call.refusal]
            assert refused, "no call was refused: does the fake ask `refusal` for each?"
            early = [call for call in on.subject.arrived if self._too_early(on, call, refused)]
            assert not early, f"called again in the time that was forbidden: {early}"

    def _some_refusals(self) -> Iterator[Refusal | None]:
        dice = random.Random(11)  # noqa: S311
        while True:
            yield Refusal(429, PAUSE_S) if dice.random() < SHARE else None

    async def _conversation(self, replica: Replica, chat: Chat) -> None:
        for number in range(EACH):
            await said(replica, chat, f"{chat.id} {number}")

    def _check_order(self, on: Play) -> None:
        accepted = [call.text for call in on.subject.accepted]
        for chat in on.subject.chats:
            wanted = [f"{chat.id} {number}" for number in range(EACH)]
            assert [text for text in accepted if text in wanted] == wanted
        assert len(accepted) == EACH * len(on.subject.chats)

    def _too_early(self, on: Play, call: Arrived, refused: list[Arrived]) -> bool:
        return any(
            (0 if call.chat == other.chat else UNDER_WAY_S)
            < call.at_s - other.at_s
            < PAUSE_S - 0.02
            for other in refused
            if on.subject.pauses == "account" or other.chat == call.chat
        )

    @pytest.mark.parametrize("status", [500, 502, 0])
    async def test_what_may_have_been_done_is_not_done_again(self, status: int) -> None:
        """Neither sent twice nor logged, and the bot is told that nobody knows."""
        async with self.play() as on:
            if not (self._sends() and on.subject.calls_api):
                return
            replica = await on.started()
            on.subject.refusals = iter([Refusal(status)])
            with pytest.raises(ActionError) as caught:
                await said(replica, on.subject.chats[0], "maybe")
            assert not caught.value.certain, f"{caught.value!r} says that nothing was done"
            assert len(on.subject.arrived) == 1
            assert not [event for event in on.events() if isinstance(event, MessageSent)]
            await said(replica, on.subject.chats[0], "after")
            assert [call.text for call in on.subject.accepted] == ["after"]

    async def test_who_lost_the_account_sends_nothing(self) -> None:
        """Another process has it now."""
        async with self.play() as on:
            if not (self._sends() and on.subject.calls_api):
                return
            replica = await on.started()
            replica.kit.owner = False
            with pytest.raises(ActionError) as caught:
                await said(replica, on.subject.chats[0], "stale")
            assert caught.value.certain
            assert not on.subject.arrived

    async def test_s18_no_secret_in_any_log_line_or_error(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Whatever goes wrong, at the most talkative level."""
        caplog.set_level(logging.DEBUG)
        async with self.play() as on:
            shown = await self._everything_goes_wrong(on)
        assert on.subject.canaries or not on.subject.calls_api, "name the subject's canaries"
        for canary in on.subject.canaries:
            assert canary not in caplog.text
            assert not [text for text in shown if canary in text]

    async def _everything_goes_wrong(self, on: Play) -> list[str]:
        replica = await on.started()
        await on.deliver(replica, 0)
        shown = []
        if self.kind().webhook is not Connector.webhook:
            for request in on.subject.forgeries(1).values():
                reply = await replica.connector.webhook(request)
                shown.append(reply.body.decode("utf-8", "replace"))
        if self._sends() and on.subject.calls_api:
            for status in (0, 502, 429):
                on.subject.refusals = iter([Refusal(status, PAUSE_S)])
                shown += await self._error_of(said(replica, on.subject.chats[0], "text"))
        if wrong := on.subject.wrong_credentials():
            shown += await self._error_of(on.replica(**wrong).start())
        stranded = on.replica()
        await on.away()
        if self._sends() and on.subject.calls_api:
            shown += await self._error_of(said(replica, on.subject.chats[0], "text"))
        return shown + await self._error_of(stranded.start())

    async def _error_of(self, work: object) -> list[str]:
        """Everything that a tracer could show of it."""
        shown: list[str] = []
        try:
            await work  # type: ignore[misc]
        except OnebusError as error:
            inner: BaseException | None = error
            while inner is not None:
                shown += [repr(inner), str(inner)]
                inner = inner.__cause__ or inner.__context__
        return shown
