"""A connection that survives what NATS and nats-py do to it; each test is one known trap."""

import asyncio
import gc
import logging
import time
from typing import Any

import pytest
from nats.aio.msg import Msg
from tests.fakes.outage import eventually, frozen, kill, outage

from onebus import bus as bus_module
from onebus.bus import Bus, BusOptions, NoResponders, StoreRefused, TooLarge
from onebus.embedded import EmbeddedNats
from onebus.errors import BusTimeout, BusUnavailable
from onebus.setup import Storage, set_up

SUBJECT = "onebus.events.00.t.a.notice.poked.1"


async def answer(bus: Bus, subject: str) -> None:
    async def on_message(message: Msg) -> None:
        await bus.publish(message.reply, message.data)

    await bus.subscribe(subject, on_message)


async def black_hole(bus: Bus, subject: str) -> asyncio.Event:
    """Somebody who takes requests and never answers."""
    arrived = asyncio.Event()

    async def on_message(_: Msg) -> None:
        arrived.set()

    await bus.subscribe(subject, on_message)
    return arrived


def pending(bus: Bus) -> dict[str, Any]:
    return dict(bus._replies._waiting)


async def test_a_request_without_nats_fails_at_once_and_nothing_is_kept_for_later(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with outage(nats, bus):
        started_at = time.monotonic()
        for _ in range(50):
            with pytest.raises(BusUnavailable):
                await bus.request(SUBJECT, b"late", 5)
            with pytest.raises(BusUnavailable):
                await bus.publish(SUBJECT, b"late")
        assert time.monotonic() - started_at < 2
        assert not pending(bus)
    info = await bus.api("STREAM.INFO.onebus_events")
    assert info["state"]["messages"] == 0


async def test_requests_in_flight_fail_when_the_connection_does(
    nats: EmbeddedNats, bus: Bus
) -> None:
    arrived = await black_hole(bus, "hole")
    waiting = [asyncio.ensure_future(bus.request("hole", b"", 60)) for _ in range(10)]
    await arrived.wait()
    await kill(nats)
    started_at = time.monotonic()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert time.monotonic() - started_at < 10
    assert {type(result) for result in results} == {BusTimeout}
    assert not pending(bus)


async def test_no_kind_of_failure_leaves_a_request_behind(bus: Bus) -> None:
    arrived = await black_hole(bus, "hole")
    for _ in range(20):
        with pytest.raises(NoResponders):
            await bus.request("nobody", b"", 5)
        with pytest.raises(TooLarge):
            await bus.request("hole", bytes(9 << 20), 5)
        with pytest.raises(BusTimeout):
            await bus.request("hole", b"", 0.001)
    task = asyncio.ensure_future(bus.request("hole", b"", 60))
    arrived.clear()
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not pending(bus)


async def test_the_largest_message_with_its_headers_passes_and_one_byte_more_is_refused_here(
    bus: Bus,
) -> None:
    most = bus._client.max_payload
    fits = most - len("NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 0\r\n\r\n")
    assert await bus.store(SUBJECT, bytes(fits), last_sequence=0, timeout_s=20)
    with pytest.raises(TooLarge, match="do not fit"):
        await bus.store(SUBJECT + "x", bytes(fits + 1), last_sequence=0)
    assert bus.connected  # the server would have closed the connection, for ever


async def test_a_cancelled_request_ends_while_the_server_reads_nothing(
    nats: EmbeddedNats, bus: Bus
) -> None:
    async with frozen(nats):
        task = asyncio.ensure_future(bus.request("x", bytes(8 << 20), 60))
        done, _ = await asyncio.wait({task}, timeout=0.1)
        assert not done
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=1)
        assert done
        assert task.cancelled()


async def test_a_callback_that_fails_harms_nobody_else(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    called = asyncio.Event()

    async def faulty(_: Msg) -> None:
        called.set()
        raise RuntimeError("a fault of ours")

    await bus.subscribe("faulty", faulty)
    await answer(bus, "fine")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            called.clear()
            await bus.publish("faulty")
            await called.wait()
        assert (await bus.request("fine", b"1", 5)).data == b"1"
    reading = bus._client._reading_task
    assert reading
    assert not reading.done()
    assert sum("a fault of ours" in line for line in caplog.messages) == 1


async def test_a_read_loop_that_died_is_noticed(
    nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "WATCHDOG_S", 0.3)
    async with Bus(nats.options(), "test") as bus:
        await bus.wait_ready(5)
        await answer(bus, "fine")
        came_back = asyncio.Event()
        bus.on_ready(came_back.set)
        reading = bus._client._reading_task
        assert reading
        reading.cancel()
        assert bus._client.is_connected  # the trap: nats-py sees nothing wrong
        await asyncio.wait_for(came_back.wait(), 5)
        assert (await bus.request("fine", b"1", 5)).data == b"1"


async def test_a_half_open_connection_is_noticed(
    nats: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "WATCHDOG_S", 0.3)
    async with Bus(nats.options(), "test") as bus:
        await bus.wait_ready(5)
        async with frozen(nats):
            await eventually(lambda: not bus.connected, 5)
            with pytest.raises(BusUnavailable):
                await bus.request("x", b"", 1)
        await bus.wait_ready(10)


async def test_before_the_first_connection_everything_says_that_nats_is_away() -> None:
    async with Bus(BusOptions("nats://127.0.0.1:1"), "test") as bus:

        async def on_message(_: Msg) -> None:
            raise AssertionError

        with pytest.raises(BusUnavailable):
            await bus.subscribe("x", on_message)
        with pytest.raises(BusUnavailable):
            await bus.request("x", b"", 1)
        with pytest.raises(BusUnavailable, match=r"no NATS at .*127\.0\.0\.1:1"):
            await bus.wait_ready(0.1)


async def test_nats_may_start_after_its_clients(nats: EmbeddedNats) -> None:
    await kill(nats)
    async with Bus(nats.options(), "test") as bus:
        await eventually(lambda: bool(bus._troubles.last))
        await nats.start()
        await bus.wait_ready(10)
        assert await set_up(bus, Storage())


async def test_wrong_credentials_are_told_without_repeating_them(nats: EmbeddedNats) -> None:
    options = BusOptions(nats.url, "onebus", "not-the-password")
    async with Bus(options, "test") as bus:
        with pytest.raises(BusUnavailable, match=r"(?i)authorization") as told:
            await bus.wait_ready(2)
    assert "not-the-password" not in str(told.value)


async def test_drain_hands_over_what_has_arrived_and_takes_no_more(bus: Bus) -> None:
    taken: list[bytes] = []

    async def on_message(message: Msg) -> None:
        await asyncio.sleep(0)
        taken.append(message.data)

    subscription = await bus.subscribe("many", on_message)
    for number in range(500):
        await bus.publish("many", b"%d" % number)
    await bus.drain(subscription)
    assert taken == [b"%d" % number for number in range(500)]
    with pytest.raises(NoResponders):
        await bus.request("many", b"", 5)


async def test_a_subscription_is_gone_after_draining_it_without_nats(
    nats: EmbeddedNats, bus: Bus
) -> None:
    arrived = await black_hole(bus, "gone")
    subscription = next(s for s in bus._client._subs.values() if s.subject == "gone")
    async with outage(nats, bus):
        await bus.drain(subscription)
    with pytest.raises(NoResponders):
        await bus.request("gone", b"", 5)
    assert not arrived.is_set()


async def test_refusals_of_the_store_have_their_code(bus: Bus) -> None:
    first = await bus.store(SUBJECT, b"1", last_sequence=0)
    with pytest.raises(StoreRefused) as refused:
        await bus.store(SUBJECT, b"2", last_sequence=0)
    assert refused.value.code == bus_module.WRONG_LAST_SEQUENCE
    assert await bus.store(SUBJECT, b"2", last_sequence=first) == first + 1
    with pytest.raises(StoreRefused):
        await bus.api("STREAM.INFO.nosuch")


async def test_a_cancellation_that_comes_with_the_answer_is_not_forgotten(bus: Bus) -> None:
    """Before Python 3.12 `asyncio.wait_for`, which nats-py uses, returned the answer instead."""
    await answer(bus, "fine")
    arrived: list[asyncio.Task[Msg]] = []

    async def ask() -> Msg:
        return await bus.request("fine", b"1", 5)

    [(inbox, whole)] = bus._client._takers.items()

    def cancel_too(message: Msg) -> None:
        whole(message)
        arrived[0].cancel()

    bus._client._takers[inbox] = cancel_too
    arrived.append(asyncio.ensure_future(ask()))
    with pytest.raises(asyncio.CancelledError):
        await arrived[0]


async def test_troubles_that_take_turns_are_said_once_each(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = Bus(BusOptions("nats://127.0.0.1:1,nats://127.0.0.1:2"), "test")
    for _ in range(3):
        await away._on_error(ConnectionRefusedError("first"))
        await away._on_error(TimeoutError("second"))
    assert [record.getMessage().split("; ")[0] for record in caplog.records] == [
        f"NATS at {away.where()}: ConnectionRefusedError: first",
        f"NATS at {away.where()}: TimeoutError: second",
    ]


async def test_one_timer_looks_after_all_questions_while_there_are_any(bus: Bus) -> None:
    asked: list[float] = []

    async def silence(_: Msg) -> None:
        pass

    def lives() -> bool:
        asked.append(time.monotonic())
        return len(asked) < 3

    await bus.subscribe("silent", silence)
    started_at = time.monotonic()
    long = asyncio.ensure_future(bus.request("silent", b"", 60, lives=lives))
    for timeout_s in (0.0, 0.15):
        with pytest.raises(BusTimeout):
            await bus.request("silent", b"", timeout_s)
    assert 0.1 <= time.monotonic() - started_at < 5
    with pytest.raises(BusTimeout):
        await long
    assert len(asked) == 3
    assert not pending(bus)
    async with asyncio.timeout(5):
        while bus._replies._looking:
            await asyncio.sleep(0.01)
    with pytest.raises(BusTimeout):
        await bus.request("silent", b"", 0.01)


async def test_a_failure_that_comes_with_a_cancellation_is_no_left_over(bus: Bus) -> None:
    left_over: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: left_over.append(context))

    async def silence(_: Msg) -> None:
        pass

    await bus.subscribe("silent", silence)
    asking = asyncio.ensure_future(bus.request("silent", b"", 60))
    await eventually(lambda: bool(pending(bus)))
    bus._replies.lost()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    del asking
    gc.collect()
    assert not left_over
