"""Reply subjects, which NATS checks for nobody: what a service makes of one reaches nothing.

In the account that keeps the streams it would work; the first test shows that it does.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from tests.e2e.guarded import ROOT, GuardedNats, guarded_nats

from onebus import metrics, subjects
from onebus.bus import Bus
from onebus.codec import encode
from onebus.event import MessageReceived, User, private_chat
from onebus.ids import Account, AccountId, MessageId, Platform, UserId
from onebus.log import Log, Stored
from onebus.segment import Text
from onebus.setup import Storage, set_up
from onebus.token import Token

pytestmark = pytest.mark.asyncio(loop_scope="module")

MP = Account(Platform("wechat"), AccountId("mp"))
ALICE = UserId("alice")
API = "$JS.API"
KEPT = ("onebus_events", "KV_onebus_tokens", "KV_onebus_claims")


def event(message: str) -> MessageReceived:
    return MessageReceived(
        account=MP,
        time_ms=1,
        chat=private_chat(ALICE),
        message=MessageId(message),
        sender=User(ALICE, "Alice"),
        segments=(Text("forged"),),
    )


FORGED = event("forged")
PLACE = f"onebus.{subjects.of_event(FORGED)}"
AIMS = {
    "an event": (PLACE, encode(FORGED)),
    "a token": ("$KV.onebus_tokens.wechat.mp.access", encode(Token("theirs", 1e12))),
    "a claim": ("$KV.onebus_claims.account.wechat.mp", b"theirs"),
    "a purge": (f"{API}.STREAM.PURGE.onebus_events", b""),
    "a deletion": (f"{API}.STREAM.DELETE.onebus_events", b""),
}


class Users:
    """Clients of some services, and a look behind."""

    def __init__(self, server: GuardedNats, clients: dict[str, Client]) -> None:
        self.server = server
        self.clients = clients

    async def kept(self) -> dict[str, int]:
        """How much each stream has taken, and -1 for one that is gone."""
        found = {}
        for stream in KEPT:
            answer = await self.clients[ROOT].request(f"{API}.STREAM.INFO.{stream}", timeout=5)
            state = json.loads(answer.data).get("state")
            found[stream] = state["messages"] if state else -1
        return found


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[Users]:
    async with guarded_nats(folder) as server:
        async with Bus(server.options_of("setup"), "test") as bus:
            await bus.wait_ready(10)
            await set_up(bus, Storage())
        async with Bus(server.options_of("connector-wechat"), "test") as bus:
            await bus.wait_ready(10)
            await Log(bus).append(event("real"))
        names = ("frontend-http", "frontend-ws-reverse", "connector-sandbox", "connector-wechat")
        clients: dict[str, Client] = {}
        for service in (ROOT, *names):
            options = server.options_of(service)
            clients[service] = await nats.connect(
                options.url,
                user=service,
                password=options.password,
                inbox_prefix=f"_INBOX_{service}",
            )
        yield Users(server, clients)
        for client in clients.values():
            await client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def users(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Users]:
    async with connected(tmp_path_factory.mktemp("forged")) as there:
        yield there


async def read_to(client: Client, key: str, body: bytes, reply: str) -> None:
    """Keep a body, and have NATS send it to a reply subject; returns when it has been."""
    stream, subject = key.split()
    await client.request(subject, body, timeout=5)
    last = f"{API}.DIRECT.GET.{stream}.{subject}"
    await client.publish(last, reply=reply)
    await client.request(last, timeout=5)  # in turn


async def listens(client: Client) -> None:
    """Until NATS has taken what the client subscribed to."""
    await client._flush_pending(force_flush=True)  # the ping would overtake it
    await client.flush()


@pytest.mark.parametrize("aim", AIMS)
async def test_in_one_account_it_would_work(tmp_path: Path, aim: str) -> None:
    reply, body = AIMS[aim]
    async with connected(tmp_path) as there:
        before = await there.kept()
        key = "KV_onebus_ids $KV.onebus_ids.user.1"
        await read_to(there.clients[ROOT], key, body, reply)
        async with asyncio.timeout(10):
            while await there.kept() == before:
                pass


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize(
    ("service", "key"),
    [
        ("frontend-http", "KV_onebus_ids $KV.onebus_ids.user.1"),
        ("frontend-ws-reverse", "KV_onebus_claims $KV.onebus_claims.target.a"),
        ("connector-sandbox", "onebus_events onebus.events.aa.sandbox.demo.message.p-x.1"),
        ("connector-sandbox", "KV_onebus_sandbox $KV.onebus_sandbox.demo.user.a"),
    ],
)
async def test_what_was_read_goes_nowhere(users: Users, service: str, key: str, aim: str) -> None:
    reply, body = AIMS[aim]
    client = users.clients[service]
    await client.request(key.split()[1], body, timeout=5)  # so that it is no first entry
    before = await users.kept()
    written = key.split(maxsplit=1)[0]
    await read_to(client, key, body, reply)
    after = await users.kept()
    if written == "onebus_events":
        before[written] += 1
    assert after == before


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (f"{API}.STREAM.INFO.onebus_events", b""),
        (f"{API}.STREAM.MSG.GET.onebus_events", b'{"last_by_subj": "onebus.events.>"}'),
        (f"{API}.DIRECT.GET.onebus_events", b'{"last_by_subj": "onebus.events.>"}'),
        ("$KV.onebus_ids.user.2", b""),
    ],
)
async def test_what_nats_answers_goes_nowhere(
    users: Users, subject: str, body: bytes, aim: str
) -> None:
    client, before = users.clients["frontend-http"], await users.kept()
    await client.publish(subject, body, reply=AIMS[aim][0])
    await client.request(subject, body, timeout=5)
    assert await users.kept() == before


@pytest.mark.parametrize("aim", AIMS)
async def test_what_a_connector_answers_goes_nowhere(users: Users, aim: str) -> None:
    reply, body = AIMS[aim]
    seen: list[str] = []

    async def answer(message: Msg) -> None:
        seen.append(message.reply)
        await message.respond(body)

    before = await users.kept()
    serving = await users.clients["connector-wechat"].subscribe(
        "onebus.actions.wechat.mp", cb=answer
    )
    await listens(users.clients["connector-wechat"])
    client = users.clients["frontend-http"]
    await client.publish("onebus.actions.wechat.mp", b"forge", reply=reply)
    answered = await client.request("onebus.actions.wechat.mp", b"ask", timeout=5)
    await serving.unsubscribe()
    assert answered.data == body
    assert await users.kept() == before
    assert [where.partition(".")[0] for where in seen] == ["_R_", "_R_"]


@pytest.mark.parametrize("aim", AIMS)
async def test_a_reader_sends_to_nobody_but_who_listens(users: Users, aim: str) -> None:
    deliver, body = AIMS[aim]
    client, name = users.clients["frontend-ws-reverse"], f"to-{aim.replace(' ', '-')}"
    await client.request("$KV.onebus_claims.target.r", body, timeout=5)
    before = await users.kept()
    config: dict[str, Any] = {
        "name": name,
        "deliver_subject": deliver,
        "deliver_policy": "all",
        "ack_policy": "none",
        "filter_subject": "$KV.onebus_claims.target.>",
        "mem_storage": True,
        "num_replicas": 1,
    }
    request = {"stream_name": "KV_onebus_claims", "config": config, "action": "create"}
    subject = f"{API}.CONSUMER.CREATE.KV_onebus_claims.{name}.$KV.onebus_claims.target.>"
    answer = json.loads((await client.request(subject, encode(request), timeout=5)).data)
    if "error" not in answer:
        info = f"{API}.CONSUMER.INFO.KV_onebus_claims.{name}"
        found = json.loads((await users.clients[ROOT].request(info, timeout=5)).data)
        assert found["delivered"]["consumer_seq"] == 0
        assert not found.get("push_bound")
    assert await users.kept() == before


@pytest.mark.parametrize("what", ["all", "sub"])
async def test_a_key_of_ones_own_takes_nobody_elses_along(users: Users, what: str) -> None:
    theirs, ours = "$KV.onebus_tokens.wechat.mp.t", "$KV.onebus_tokens.sandbox.demo.t"
    await users.clients["connector-wechat"].request(theirs, b"theirs", timeout=5)
    headers = {"Nats-Rollup": what}
    mine = users.clients["connector-sandbox"]
    answer = json.loads((await mine.request(ours, b"", headers=headers, timeout=5)).data)
    assert "rollup not permitted" in answer["error"]["description"]
    last = f"{API}.DIRECT.GET.KV_onebus_tokens.{theirs}"
    assert (await users.clients["connector-wechat"].request(last, timeout=5)).data == b"theirs"


async def test_an_entry_that_names_another_place_is_dropped_and_counted(users: Users) -> None:
    """What a platform's own connector can still write below its own platform."""
    found: list[Stored] = []
    dropped = metrics.dropped_entries._value.get()
    account = Account(Platform("wechat"), AccountId("other"))
    where = f"onebus.{subjects.events_of(account).removesuffix('>')}message.p-x.1"
    writer = users.clients["connector-wechat"]
    async with Bus(users.server.options_of("frontend-ws"), "test") as bus:
        await bus.wait_ready(10)
        log = Log(bus)
        filters = [subjects.events_of(account), subjects.events_of(MP)]
        async with log.follow(filters, found.append, start=await log.end() + 1) as reader:
            await reader.caught_up.wait()
            stored = await writer.request(where, encode(FORGED), timeout=5)
            sequence = json.loads(stored.data)["seq"]
            headers = {"Nats-Subject": PLACE, "Nats-Sequence": "1"}
            renamed = await writer.request(where, encode(FORGED), headers=headers, timeout=5)
            await writer.request(where, b"[[[", timeout=5)
            await writer.request(PLACE.replace("forged", "true"), encode(event("true")), timeout=5)
            async with asyncio.timeout(10):
                while not found:
                    await asyncio.sleep(0.01)
        assert await log.at(sequence) is None
        assert await log.at(json.loads(renamed.data)["seq"]) is None
    assert [one.event for one in found] == [event("true")]
    assert metrics.dropped_entries._value.get() == dropped + 5
