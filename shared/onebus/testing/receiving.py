"""Contract: every update becomes its entry once, whatever breaks. Part of `…testing.contract`."""

import asyncio
import random
import time
from typing import Any

import pytest

from onebus.connector import Connector
from onebus.errors import BadParams, Misconfigured, SetupError
from onebus.testing.declared import DeclaredContract
from onebus.testing.play import CLOSE_S, Play, Replica
from onebus.testing.subject import NotTaken

COUNT = 20
FIRST_S = 0.3


class ReceivingContract(DeclaredContract):
    """What comes from the platform."""

    async def test_r12_each_update_is_logged_once_however_often_it_comes(self) -> None:
        """Each three times, in any order, and across a restart."""
        if self.kind().event_ids == "synthetic":
            return
        numbers = [number for number in range(COUNT) for _ in range(3)]
        random.Random(12).shuffle(numbers)  # noqa: S311
        async with self.play() as on:
            first = await on.started()
            await on.deliver(first, *numbers[:COUNT])
            await first.stop()
            second = await on.started()
            await on.deliver(second, *numbers[COUNT:])
            await self._check_once(on, range(COUNT))

    async def test_an_update_in_the_log_that_was_not_confirmed_is_logged_once(self) -> None:
        """The process dies after the log's ack, and before a cursor is saved."""
        if self.kind().event_ids == "synthetic":
            return
        async with self.play() as on:
            dying = await on.started(dying=True)
            await on.deliver(dying, *range(5))
            await dying.die()
            heir = await on.started()
            await on.deliver(heir, *range(COUNT))
            await self._check_once(on, range(COUNT))

    async def test_without_the_log_an_update_is_not_confirmed(self) -> None:
        """It comes again once the log is there, and nothing was lost."""
        async with self.play() as on:
            replica = await on.started()
            await on.deliver(replica, 0)
            on.memory.bus.available = False
            giving = asyncio.ensure_future(on.subject.deliver(replica, 1))
            done, _ = await asyncio.wait({giving}, timeout=FIRST_S)
            assert not done or isinstance(giving.exception(), NotTaken), "confirmed, and not logged"
            on.memory.bus.available = True
            replica = await self._still_there(on, replica)
            if done:
                await on.deliver(replica, 1)
            else:
                await on.within(giving, replica, "update 1")
            await self._check_once(on, range(2))

    async def _still_there(self, on: Play, replica: Replica) -> Replica:
        """The replica, or what its host starts when receiving ended for want of the log."""
        if replica.running and replica.running.done():
            assert replica.running.exception() is not None
            replica.running = None
            await replica.die()
            return await on.started()
        return replica

    async def test_an_unknown_update_is_counted_and_harms_nothing(self) -> None:
        """Platforms add kinds at any time."""
        async with self.play() as on:
            replica = await on.started()
            await on.deliver(replica, 0)
            before = on.entries()
            try:
                await on.within(on.subject.deliver_unknown(replica), replica, "the unknown update")
                assert replica.kit.ignored.total() == 1, "call kit.ignore(kind) for what is unknown"
            except BadParams:
                assert self.kind().webhook is Connector.webhook, "a platform would send it again"
            assert on.entries() == before
            await on.deliver(replica, 1)
            assert len(on.entries()) > len(before)

    async def test_cancelled_it_ends_and_closes_in_time(self) -> None:
        """Amid receiving, twice, and also when it was never opened."""
        async with self.play() as on:
            replica = await on.started()
            await on.deliver(replica, 0)
            started_s = time.monotonic()
            await replica.stop()
            assert time.monotonic() - started_s < 2 * CLOSE_S
            await replica.connector.close()
            await on.replica().connector.close()

    async def test_what_it_cannot_open_is_one_of_the_three_failures(self) -> None:
        """Rejected credentials need a human; a platform that is away does not."""
        async with self.play() as on:
            wrong = on.subject.wrong_credentials()
            assert wrong != {}, "say which change of the configuration the platform rejects"
            if wrong is not None:
                assert await self._failure(on, **wrong) == "AuthFailed"
            if on.subject.calls_api:
                away = on.replica()
                await on.away()
                async with asyncio.timeout(30):
                    with pytest.raises(SetupError) as caught:
                        await away.start()
                assert type(caught.value).__name__ == "NotReady"

    async def _failure(self, on: Play, **changed: Any) -> str:
        with pytest.raises(SetupError) as caught:
            await on.replica(**changed).start()
        return type(caught.value).__name__

    async def _check_once(self, on: Play, numbers: range) -> None:
        """As many entries as when each update comes once, none of them twice."""
        found = on.entries()
        assert len({entry.subject for entry in found}) == len(found)
        async with self.play() as plain:
            replica = await plain.started()
            await plain.deliver(replica, *numbers)
            wanted = len(plain.entries())
        assert wanted >= len(numbers), "an update of `deliver` has to become an event"
        assert len(found) == wanted


class WebhookContract(ReceivingContract):
    """Who is believed. Control S12."""

    def _has_webhook(self) -> bool:
        return self.kind().webhook is not Connector.webhook

    async def test_s12_no_forgery_is_believed(self) -> None:
        """Refused with a 4xx, and nothing is logged."""
        if not self._has_webhook():
            return
        async with self.play() as on:
            replica = await on.started()
            forgeries = on.subject.forgeries(0)
            wanted = {"missing", "empty", "wrong", "another account's"}
            assert wanted <= set(forgeries), f"forgeries() lacks {wanted - set(forgeries)}"
            for what, request in forgeries.items():
                reply = await replica.connector.webhook(request)
                assert reply.status in {400, 401, 403}, f"{what}: HTTP {reply.status}"
                assert not on.entries(), f"{what} was logged"
            await on.deliver(replica, 0)
            assert on.entries()

    async def test_s12_a_replay_is_one_entry_and_later_refused(self) -> None:
        """The very same request, a second later and after the signature has aged."""
        if not self._has_webhook():
            return
        async with self.play() as on:
            replica = await on.started()
            request = on.subject.signed(0)
            assert (await replica.connector.webhook(request)).status == 200
            before = on.entries()
            on.later_s = 1
            assert (await replica.connector.webhook(request)).status == 200
            assert on.entries() == before
            window_s = on.subject.replay_window_s
            if window_s is None:
                return
            for later_s in (window_s + 5, -window_s - 5):
                on.later_s = later_s
                assert (await replica.connector.webhook(request)).status in {400, 401, 403}
            assert on.entries() == before

    async def test_s12_without_a_secret_it_does_not_start(self) -> None:
        """An empty secret would make every signature good."""
        if not self._has_webhook():
            return
        async with self.play() as on:
            assert on.subject.unsafe_configs(), "say which configurations are not safe"
            for changed in on.subject.unsafe_configs():
                with pytest.raises(Misconfigured):
                    on.replica(**changed)
