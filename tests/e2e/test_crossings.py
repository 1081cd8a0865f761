"""What each user may and may not do, line by line, against a real server.

Every operation is tried as every service: those that may are not refused, all others are.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Collection
from typing import Any

import nats
import pytest
import pytest_asyncio
from msgspec import Struct
from nats.aio.client import Client
from tests.e2e.guarded import SERVICES, GuardedNats, guarded_nats

from onebus.bus import Bus
from onebus.setup import Storage, set_up

pytestmark = pytest.mark.asyncio(loop_scope="module")

SANDBOX, WECHAT = "connector-sandbox", "connector-wechat"
PUSHERS = ("frontend-ws-reverse", "frontend-http-post")
FRONTENDS = ("frontend-http", "frontend-ws", *PUSHERS)
EVENT = "onebus.events.aa.wechat.mp.message.p-x.1"
MEDIA = "$O.onebus_media.C.wechat.>"
API, KV = "$JS.API", "$KV.onebus"


class Line(Struct, frozen=True):
    """An operation, and who may do it. `hears`: it subscribes to the subject."""

    what: str
    subject: str
    may: tuple[str, ...] = ()
    body: Any = None
    hears: bool = False


def keys(bucket: str, key: str, may: Collection[str], *, read: bool = True) -> list[Line]:
    """Writing and reading one key; by no other way does anybody but its owners read it."""
    stream, subject = f"KV_onebus_{bucket}", f"{KV}_{bucket}.{key}"
    last = f"{API}.DIRECT.GET.{stream}.{subject}"
    allowed = tuple(may)
    lines = [Line(f"write {bucket} {key}", subject, allowed)]
    return [*lines, Line(f"read {bucket} {key}", last, allowed)] if read else lines


def whole(stream: str) -> list[Line]:
    """Reading a stream by sequence, or all of it."""
    return [
        Line(f"read {stream} by sequence", f"{API}.DIRECT.GET.{stream}", body={"seq": 1}),
        Line(f"ask for {stream} by sequence", f"{API}.STREAM.MSG.GET.{stream}", body={"seq": 1}),
        Line(f"follow {stream}", f"{API}.CONSUMER.CREATE.{stream}.n"),
        Line(f"follow {stream} from below", f"{API}.CONSUMER.CREATE.{stream}.n.>"),
        Line(f"follow {stream} unnamed", f"{API}.CONSUMER.CREATE.{stream}"),
        Line(f"follow {stream} for ever", f"{API}.CONSUMER.DURABLE.CREATE.{stream}.n"),
    ]


def administration() -> list[Line]:
    """Streams are made and changed by one, and removed by none."""
    for_none = ("DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN")
    stream = "onebus_events"
    return [
        Line("make a stream", f"{API}.STREAM.CREATE.{stream}", ("setup",)),
        Line("change a stream", f"{API}.STREAM.UPDATE.{stream}", ("setup",)),
        Line("make another stream", f"{API}.STREAM.CREATE.mine"),
        *(Line(f"stream {name}", f"{API}.STREAM.{name}.{stream}") for name in for_none),
        *(Line(f"stream {name}", f"{API}.STREAM.{name}") for name in ("NAMES", "LIST")),
        Line("list readers", f"{API}.CONSUMER.NAMES.{stream}"),
        Line("remove a server", f"{API}.SERVER.REMOVE"),
        Line("purge an account", f"{API}.ACCOUNT.PURGE.keeper"),
        Line("reload the server", "$SYS.REQ.SERVER.PING"),
    ]


def follow(stream: str, where: str) -> str:
    return f"{API}.CONSUMER.CREATE.{stream}.n.{where}"


LINES = [
    Line("append an event of WeChat", EVENT, (WECHAT,)),
    Line("append an event of the sandbox", EVENT.replace("wechat", "sandbox"), (SANDBOX,)),
    Line("append an event of nobody", "onebus.events.aa"),
    Line(
        "read an event of WeChat",
        f"{API}.DIRECT.GET.onebus_events.{EVENT}",
        (WECHAT, *FRONTENDS),
    ),
    Line(
        "follow events of WeChat",
        follow("onebus_events", "onebus.events.*.wechat.>"),
        (WECHAT, *FRONTENDS),
    ),
    Line("follow all events", follow("onebus_events", "onebus.events.>"), FRONTENDS),
    Line("follow events of several", f"{API}.CONSUMER.CREATE.onebus_events.n", FRONTENDS),
    Line("read events by sequence", f"{API}.DIRECT.GET.onebus_events", FRONTENDS, {"seq": 1}),
    Line("ask the leader", f"{API}.STREAM.MSG.GET.onebus_events", FRONTENDS, {"seq": 1}),
    *keys("tokens", "wechat.mp.t", [WECHAT]),
    *whole("KV_onebus_tokens"),
    *keys("claims", "account.wechat.mp", [WECHAT]),
    *keys("claims", "account.sandbox.demo", [SANDBOX]),
    *keys("claims", "target.abc", PUSHERS),
    *whole("KV_onebus_claims"),
    *keys("cursors", "account.wechat.mp.deferred", [WECHAT]),
    *keys("cursors", "target.abc", PUSHERS),
    *keys("sessions", "wechat.1-a", [WECHAT]),
    *keys("sessions", "frontend.1-a", PUSHERS),
    *keys("accounts", "wechat.mp", [WECHAT], read=False),
    *keys("idempotency", "wechat.mp.action.a", [WECHAT]),
    *keys("idempotency", "quick.target.abc.1", ["frontend-http-post"]),
    *keys("ids", "user.1", FRONTENDS),
    *keys("sandbox", "demo.user.a", [SANDBOX]),
    Line(
        "who WeChat's accounts are",
        f"{API}.DIRECT.GET.KV_onebus_accounts.{KV}_accounts.wechat.mp",
        (WECHAT, *FRONTENDS),
    ),
    Line("follow who is there", follow("KV_onebus_accounts", f"{KV}_accounts.>"), FRONTENDS),
    Line(
        "who lives",
        f"{API}.STREAM.INFO.KV_onebus_sessions",
        ("setup", SANDBOX, WECHAT, *FRONTENDS),
    ),
    Line("bury", "onebus.dead.target", PUSHERS),
    Line("read the dead", follow("onebus_dead", "onebus.dead.*"), ("operator",)),
    *whole("onebus_dead"),
    Line("keep a file of WeChat", "$O.onebus_media.C.wechat.mp.a", (WECHAT, *FRONTENDS)),
    Line("keep a file of the sandbox", "$O.onebus_media.C.sandbox.a.b", (SANDBOX, *FRONTENDS)),
    Line("name a file", "$O.onebus_media.M.a", (WECHAT, SANDBOX, *FRONTENDS)),
    Line("read files of WeChat", follow("OBJ_onebus_media", MEDIA), (WECHAT, *FRONTENDS)),
    *whole("OBJ_onebus_media"),
    Line("act", "onebus.actions.wechat.mp", FRONTENDS),
    Line("act later", "onebus.deferred.wechat.mp.1", (WECHAT, *FRONTENDS)),
    Line("see what waits", follow("onebus_deferred", "onebus.deferred.wechat.>"), (WECHAT,)),
    *whole("onebus_deferred"),
    Line("offer WeChat a reply", "onebus.passive.wechat.mp.p-x", (WECHAT,)),
    Line("answer in an inbox of WebSockets", "_INBOX_frontend-ws.a.b"),
    Line("answer in an inbox of a connector", "_INBOX_connector-wechat.a", (WECHAT,)),
    *administration(),
    Line("serve WeChat's actions", "onebus.actions.wechat.mp", (WECHAT,), hears=True),
    Line("serve the sandbox's actions", "onebus.actions.sandbox.demo", (SANDBOX,), hears=True),
    Line("serve all actions", "onebus.actions.>", hears=True),
    Line("hold WeChat's replies", "onebus.passive.wechat.mp.p-x", (WECHAT,), hears=True),
    Line("hear an inbox of WebSockets", "_INBOX_frontend-ws.>", ("frontend-ws",), hears=True),
    Line("hear an inbox of WeChat", "_INBOX_connector-wechat.>", (WECHAT,), hears=True),
    Line("hear an inbox of the set-up", "_INBOX_setup.>", ("setup",), hears=True),
    *(
        Line(f"hear {where}", where, hears=True)
        for where in ("_INBOX.>", ">", "*.>", f"{API}.>", "$KV.>", "$SYS.>", "onebus.>", "_R_.>")
    ),
    Line("hear events", "onebus.events.>", hears=True),
]


class Users:
    """A connection of each service, and what NATS has refused to it."""

    def __init__(self, server: GuardedNats) -> None:
        self.server = server
        self.refused: dict[str, list[str]] = {}
        self.clients: dict[str, Client] = {}

    async def connect(self, service: str) -> None:
        refused = self.refused[service] = []
        options = self.server.options_of(service)

        async def on_error(error: Exception) -> None:
            refused.append(str(error))

        self.clients[service] = await nats.connect(
            options.url,
            user=service,
            password=options.password,
            inbox_prefix=f"_INBOX_{service}",
            error_cb=on_error,
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def users(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Users]:
    async with guarded_nats(tmp_path_factory.mktemp("crossings")) as server:
        async with Bus(server.options_of("setup"), "test") as bus:
            await bus.wait_ready(10)
            await set_up(bus, Storage())
        there = Users(server)
        for service in SERVICES:
            await there.connect(service)
        yield there
        for client in there.clients.values():
            await client.close()


@pytest.mark.parametrize(
    ("line", "service"),
    list(itertools.product(LINES, SERVICES)),
    ids=lambda value: getattr(value, "what", value),
)
async def test_a_line_is_crossed_by_nobody(users: Users, line: Line, service: str) -> None:
    client, refused = users.clients[service], users.refused[service]
    refused.clear()
    if line.hears:
        subscription = await client.subscribe(line.subject)
        await client.flush()
        await subscription.unsubscribe()
    else:
        body = json.dumps(line.body).encode() if line.body else b""
        await client.publish(line.subject, body, reply=client.new_inbox())
    await client._flush_pending(force_flush=True)  # the ping would overtake it
    await client.flush()  # what the server refuses it says before the answer to this
    kind = "subscription" if line.hears else "publish"
    violation = f'nats: permissions violation for {kind} to "{line.subject}"'.lower()
    said = [error.lower().split(" using")[0] for error in refused]
    assert said == ([] if service in line.may else [violation])


async def test_no_line_is_there_twice() -> None:
    assert len({line.what for line in LINES}) == len(LINES)
    assert {name for line in LINES for name in line.may} == set(SERVICES)


@pytest.mark.parametrize(
    "who",
    [
        {},
        {"user": "frontend-ws"},
        {"user": "frontend-ws", "pass": ""},
        {"user": "frontend-ws", "pass": "wrong"},
        {"user": "nobody", "pass": "x"},
        {"auth_token": "x"},
    ],
)
async def test_nobody_comes_in_without_a_password(users: Users, who: dict[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", users.server.port)
    try:
        assert (await reader.readline()).startswith(b"INFO ")
        writer.write(f"CONNECT {json.dumps(who)}\r\nPUB {EVENT} 0\r\n\r\nPING\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()
    assert answer == b"-ERR 'Authorization Violation'\r\n"


async def test_one_service_has_not_anothers_password(users: Users) -> None:
    passwords = {users.server.password_of(service) for service in SERVICES}
    assert len(passwords) == len(SERVICES)
    assert min(map(len, passwords)) >= 43
